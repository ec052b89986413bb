"""Tiny autoencoders of sounds with random weights, as diffusers has them and as files do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLMiniMaxH3Audio, AutoencoderOobleck
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE
from torch import Tensor, nn

from models.families.weight_norm import quietly

OOBLECK = {
    "encoder_hidden_size": 8,  # twice the latent's channels
    "downsampling_ratios": [2, 4, 4],
    "channel_multiples": [1, 2, 2],
    "decoder_channels": 6,
    "decoder_input_channels": 4,
    "audio_channels": 2,
}
LTX2_VAE = {"base_channels": 32, "ch_mult": (1, 2, 2), "num_res_blocks": 1, "latent_channels": 2}
LTX2_VOCODER = {
    "hidden_channels": 32,
    "resnet_kernel_sizes": [3, 5],
    "resnet_dilations": [[1, 3, 5]] * 2,
}
LTX23_VOCODER = {
    "hidden_channels": 64,
    "bwe_hidden_channels": 32,
    "resnet_kernel_sizes": [3],
    "resnet_dilations": [[1, 3, 5]],
    "bwe_resnet_kernel_sizes": [3],
    "bwe_resnet_dilations": [[1, 3, 5]],
}
MINIMAX_H3 = {
    "encoder_dim": 4,
    "encoder_rates": (2, 5),
    "latent_dim": 32,
    "latent_channels": 4,
    "num_attention_heads": 8,
    "decoder_dim": 16,
    "decoder_rates": (5, 2),
    "decoder_kernel_sizes": (9, 4),
    "resblock_kernel_sizes": (3, 5),
    "resblock_dilation_sizes": ((1, 3, 5), (1, 3, 5)),
}


def filled(module: nn.Module, seed: int = 0) -> Any:
    """The module with weights that say something, ready to be evaluated."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            fan = max(1, parameter[0].numel()) if parameter.ndim > 1 else 1
            drawn = torch.randn(parameter.shape, generator=generator) / fan**0.5
            small = parameter.ndim < 2 or name.endswith((".alpha", ".beta"))
            parameter.copy_(drawn * 0.1 if small else drawn)
            if name.endswith("weight_g"):
                parameter.copy_(1 + drawn.abs() * 0.1)
    return module.eval().requires_grad_(False)


def oobleck(**other: Any) -> AutoencoderOobleck:
    made: AutoencoderOobleck = filled(quietly(AutoencoderOobleck, **OOBLECK | other))
    return made


def minimax_h3(**changes: Any) -> AutoencoderKLMiniMaxH3Audio:
    made: AutoencoderKLMiniMaxH3Audio = filled(
        quietly(AutoencoderKLMiniMaxH3Audio, **{**MINIMAX_H3, **changes})
    )
    return made


def ltx2_vae() -> AutoencoderKLLTX2Audio:
    made: AutoencoderKLLTX2Audio = filled(AutoencoderKLLTX2Audio(**LTX2_VAE))
    made.latents_mean.copy_(torch.linspace(-0.1, 0.1, 32))
    made.latents_std.copy_(torch.linspace(0.5, 2, 32))
    return made


def vocoder() -> LTX2Vocoder:
    made: LTX2Vocoder = filled(LTX2Vocoder(**LTX2_VOCODER), 1)
    return made


def vocoder_of_two() -> LTX2VocoderWithBWE:
    made: LTX2VocoderWithBWE = filled(LTX2VocoderWithBWE(**LTX23_VOCODER), 2)
    generator = torch.Generator().manual_seed(3)
    for name, buffer in made.mel_stft.named_buffers():
        drawn = torch.randn(buffer.shape, generator=generator) * 0.05
        buffer.copy_(drawn.abs() if name == "mel_basis" else drawn)
    return made


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def of_stable_audio_tools(module: AutoencoderOobleck) -> dict[str, Tensor]:
    """The names of stable-audio-tools, where each half is a list of numbered layers."""
    inner = {
        "encoder": ("res_unit1", "res_unit2", "res_unit3", "snake1", "conv1"),
        "decoder": ("snake1", "conv_t1", "res_unit1", "res_unit2", "res_unit3"),
    }
    units = ("snake1", "conv1", "snake2", "conv2")
    blocks = len(module.config.downsampling_ratios)
    table: dict[str, str] = {}
    for half, parts in inner.items():
        ends = {"conv1": 0, "snake1": blocks + 1, "conv2": blocks + 2}
        table |= {f"{half}.{end}.": f"{half}.layers.{place}." for end, place in ends.items()}
        for block in range(blocks):
            for number, part in enumerate(parts):
                new = f"{half}.layers.{block + 1}.layers.{number}."
                old = f"{half}.block.{block}.{part}."
                if part.startswith("res"):
                    table |= {f"{old}{u}.": f"{new}layers.{i}." for i, u in enumerate(units)}
                else:
                    table[old] = new
    found = {}
    for name, tensor in tensors_of(module).items():
        owner, _, leaf = name.rpartition(".")
        found[table[f"{owner}."] + leaf] = tensor.flatten() if leaf in ("alpha", "beta") else tensor
    return found


def of_ltx2(vae: Mapping[str, Tensor], made: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names that LTX-2's checkpoints have."""
    words = {"latents_mean": "mean-of-means", "latents_std": "std-of-means"}
    found = {
        "audio_vae." + (f"per_channel_statistics.{words[name]}" if name in words else name): tensor
        for name, tensor in vae.items()
    }
    for name, tensor in made.items():
        for new, old in (
            ("upsamplers", "ups"),
            ("resnets", "resblocks"),
            ("conv_in", "conv_pre"),
            ("conv_out", "conv_post"),
            ("act_out", "act_post"),
        ):
            name = re.sub(rf"\b{new}\b", old, name)
        found[f"vocoder.{name.replace('downsample.', 'downsample.lowpass.')}"] = tensor
    return found


def tone(seconds: float, rate: int, channels: int = 2, hertz: float = 330) -> Tensor:
    """[1, C, T]: sines of different pitch."""
    times = torch.arange(round(seconds * rate)) / rate
    pitches = torch.arange(1, channels + 1)[:, None] * hertz
    return 0.5 * torch.sin(2 * torch.pi * pitches * times)[None]
