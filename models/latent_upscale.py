"""Networks that enlarge the latents of films: those of LTX-Video and LTX-2."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput, UnknownModelFamily, UnsupportedLayout
from models.memory import Policy
from models.network import Network, assemble
from models.weights import Weights, open_weights

_MARK: Final = "post_upsample_res_blocks.0.conv1.weight"
_RATIONAL: Final = "upsampler.conv.weight"  # by a fraction; elsewhere by 2
_KERNEL: Final = "upsampler.blur_down.kernel"
# Values that a network makes of one, along both sides -> how much larger its fraction is.
_SCALES: Final = {4: 2.0, 9: 1.5, 16: 4.0}


@dataclass(frozen=True, kw_only=True)
class LatentUpscaler:
    """A reference to a loaded network: what flows through LATENT_UPSCALE_MODEL sockets."""

    network: Network[Any]
    policy: Policy

    def enlarge(self, latents: Tensor) -> Tensor:
        """Raw latents [B, C, t, h, w] enlarged, float32, on the CPU.

        Raises InvalidInput for those of another model.
        """
        channels = self.network.module.config.in_channels
        if latents.ndim != 5 or latents.shape[1] != channels:
            raise InvalidInput(
                f"this network enlarges latents of films of {channels} channels, not of shape "
                f"{tuple(latents.shape)}"
            )
        device = self.policy.vae_device
        with self.policy.using(self.network, device) as network:
            made = [network(latent[None].to(device, self.network.dtype)) for latent in latents]
        return torch.cat([latent.to("cpu", torch.float32) for latent in made])


def load_latent_upscaler(path: Path, policy: Policy) -> LatentUpscaler:
    """The network of a file. Raises ModelFileError."""
    return policy.library.fetch(
        ("latent upscaler", policy), (path,), lambda: _upscaler_of(open_weights(path), policy)
    )


def _upscaler_of(weights: Weights, policy: Policy) -> LatentUpscaler:
    if _MARK not in weights.tensors:
        example = next(iter(weights.tensors), "none at all")
        raise UnknownModelFamily(weights.path, ["latent upscaler of LTX"], example)
    from diffusers.pipelines.ltx2.latent_upsampler import BlurDownsample, LTX2LatentUpsamplerModel

    config = upscaler_config(weights)
    tensors = dict(weights.tensors)
    if config["use_rational_resampler"]:
        tensors.setdefault(_KERNEL, BlurDownsample(dims=2, stride=1).kernel)
    network = assemble(
        lambda: LTX2LatentUpsamplerModel(**config), tensors, policy.vae_dtype, weights.path
    )
    return LatentUpscaler(network=network, policy=policy)


def upscaler_config(weights: Weights) -> dict[str, Any]:
    """Arguments of diffusers' LTX2LatentUpsamplerModel, which makes the networks of LTX-Video too.

    A fraction of thirds is taken for 3/2, not for 3/4, which has the same shapes.
    """
    mid, channels, *kernel = weights.shape("initial_conv.weight")
    is_rational = _RATIONAL in weights.tensors
    step = weights.shape(_RATIONAL if is_rational else "upsampler.0.weight")
    values = step[0] // mid
    is_spatial = len(step) == 4
    if is_rational and values not in _SCALES:
        raise UnsupportedLayout(weights.path, f"it would enlarge latents {isqrt(values)} times")
    return {
        "in_channels": channels,
        "mid_channels": mid,
        "num_blocks_per_stage": weights.count("res_blocks.{}."),
        "dims": len(kernel),
        "spatial_upsample": is_spatial or values == 8,
        "temporal_upsample": not is_spatial,
        "rational_spatial_scale": _SCALES.get(values, 2.0),
        "use_rational_resampler": is_rational,
    }
