"""The module models.protocol.k_diffusion itself: packs add samplers to it."""

import sys

from models.protocol import k_diffusion
from models.protocol.k_diffusion import *  # noqa: F403
from models.protocol.k_diffusion import ModelDenoiser as ModelDenoiser
from models.protocol.replaced import show

show(k_diffusion, *(name for name in vars(k_diffusion) if name.startswith("sample_")))
sys.modules[__name__] = k_diffusion
