"""LTX-2's vocoder: HiFi-GAN (Kong et al. 2020, arXiv 2010.05646), since LTX-2.3 BigVGAN
(Lee et al. 2023, arXiv 2206.04658) with a second one that adds high tones. Built by diffusers.

Files have HiFi-GAN's names, or diffusers' own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.errors import UnsupportedLayout
from models.weights import Weights

PREFIX: Final = "vocoder."
_NAMES: Final[tuple[tuple[str, str], ...]] = (
    (r"(^|\.)ups\.", r"\1upsamplers."),
    (r"(^|\.)resblocks\.", r"\1resnets."),
    (r"(^|\.)conv_pre\.", r"\1conv_in."),
    (r"(^|\.)conv_post\.", r"\1conv_out."),
    (r"(^|\.)act_post\.", r"\1act_out."),
    (r"\.downsample\.lowpass\.", ".downsample."),
)
# Shapes tell how wide a convolution that makes sounds longer is; by how much differs with it.
_FACTORS: Final[Mapping[int, int]] = {4: 2, 8: 2, 11: 5, 12: 6, 15: 5, 16: 6}
_STEP: Final = 80  # samples between the spectra that high tones are made from
_LOW_RATE: Final = 16000  # Hz, of what these are added to


@dataclass(frozen=True, kw_only=True)
class Vocoder:
    """A vocoder of a file, not built yet."""

    tensors: dict[str, Tensor]  # by diffusers' names
    made: Callable[[], nn.Module]
    in_channels: int  # mel bands of all channels
    samples: int  # for each spectrum


def vocoder_of(weights: Weights) -> Vocoder | None:
    """The vocoder of a checkpoint; None if there is none. Raises UnsupportedLayout."""
    tensors = {_renamed(k): tensor for k, tensor in weights.below(PREFIX).tensors.items()}
    own = Weights(path=weights.path, tensors=tensors)
    if "conv_in.weight" in tensors:
        from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder

        config = vocoder_config(own)
        return Vocoder(
            tensors=tensors,
            made=lambda: LTX2Vocoder(**config, final_act_fn="tanh"),
            in_channels=config["in_channels"],
            samples=math.prod(config["upsample_factors"]),
        )
    if "vocoder.conv_in.weight" in tensors:
        return _two_stages(own)
    return None


def _two_stages(own: Weights) -> Vocoder:
    from diffusers.pipelines.ltx2.vocoder import LTX2VocoderWithBWE, UpSample1d

    first, second = (vocoder_config(own.below(f"{part}.")) for part in ("vocoder", "bwe_generator"))
    window = own.shape("mel_stft.stft_fn.forward_basis", axes=3)[-1]
    longer = math.prod(second["upsample_factors"]) // _STEP
    config = {
        **first,
        **{f"bwe_{name}": value for name, value in second.items()},
        "filter_length": window,
        "window_length": window,
        "hop_length": _STEP,
        "num_mel_channels": own.shape("mel_stft.mel_basis", axes=2)[0],
        "input_sampling_rate": _LOW_RATE,
        "output_sampling_rate": _LOW_RATE * longer,
    }

    def made() -> nn.Module:
        module: nn.Module = LTX2VocoderWithBWE(**config)
        with torch.device("cpu"):  # its filter is in no file
            module.resampler = UpSample1d(ratio=longer, window_type="hann", persistent=False)
        return module

    return Vocoder(
        tensors=own.tensors,
        made=made,
        in_channels=first["in_channels"],
        samples=math.prod(first["upsample_factors"]) * longer,
    )


def vocoder_config(vocoder: Weights) -> dict[str, Any]:
    """Arguments of LTX2Vocoder for tensors under its names."""
    width, in_channels, _ = vocoder.shape("conv_in.weight", axes=3)
    kernels = [
        vocoder.shape(f"upsamplers.{place}.weight", axes=3)[2]
        for place in range(vocoder.count("upsamplers.{}."))
    ]
    unknown = [kernel for kernel in kernels if kernel not in _FACTORS]
    each = vocoder.count("resnets.{}.") // max(1, len(kernels))
    if unknown or not each:
        raise UnsupportedLayout(vocoder.path, "its vocoder is none of LTX-2, LTX-2.3 or LTX-2.5")
    found = {
        "in_channels": in_channels,
        "hidden_channels": width,
        "out_channels": vocoder.shape("conv_out.weight")[0],
        "upsample_kernel_sizes": kernels,
        "upsample_factors": [_FACTORS[kernel] for kernel in kernels],
        "resnet_kernel_sizes": [
            vocoder.shape(f"resnets.{place}.convs1.0.weight")[2] for place in range(each)
        ],
        "resnet_dilations": [
            [1 + 2 * i for i in range(vocoder.count(f"resnets.{place}.convs1.{{}}."))]
            for place in range(each)
        ],
        "final_bias": "conv_out.bias" in vocoder.tensors,
    }
    if "act_out.act.alpha" in vocoder.tensors:
        beta = "resnets.0.acts1.0.act.beta" in vocoder.tensors
        found |= {"act_fn": "snakebeta" if beta else "snake", "antialias": True}
    return found


def _renamed(name: str) -> str:
    for old, new in _NAMES:
        name = re.sub(old, new, name)
    return name
