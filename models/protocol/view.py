"""The BaseModel that packs see in a handle on a network of ours."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from models.memory import Policy
from models.network import Network
from models.protocol.base_model import BaseModel, model_type, our_config
from models.protocol.latent_formats import LatentFormat
from models.protocol.object_schedule import sampling_object
from models.sampling.schedule import Schedule

if TYPE_CHECKING:
    from models.families.family import Family


def view_of(
    family: Family,
    network: Network[Any],
    schedule: Schedule,
    latent_format: LatentFormat,
    policy: Policy,
) -> BaseModel:
    """The model that packs see in a handle on a network; one for each network."""
    found = None if network.view is None else network.view()
    if isinstance(found, BaseModel):
        return found
    denoiser = family.diffusion_model(network, policy)
    config = our_config(family.name, latent_format, denoiser.unet_config())
    made_of = family.base_model.for_channels(denoiser.in_channels, latent_format.latent_channels)
    sampling = sampling_object(schedule)
    made = made_of(config, model_type(sampling), device=policy.device)
    made.model_sampling = sampling
    made.diffusion_model = denoiser
    made.adm_channels = config.unet_config.get("adm_in_channels") or 0
    # Weak: a circle would keep the weights in memory until Python looks for circles.
    network.view = weakref.ref(made)
    return made
