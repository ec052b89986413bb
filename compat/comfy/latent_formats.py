"""Latent spaces by name."""

from models.protocol.latent_formats import *  # noqa: F403
from models.protocol.latent_formats import LatentFormat as LatentFormat
