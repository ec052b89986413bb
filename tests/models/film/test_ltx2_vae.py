"""The autoencoder of LTX-2 from files, and networks that enlarge its latents, against diffusers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.errors import InvalidInput, UnknownModelFamily, UnsupportedLayout
from models.film.vae import FilmVaeHandle
from models.latent_upscale import load_latent_upscaler
from models.load import vae_of
from models.memory import Policy
from models.model_files import vae_tensors
from models.vae import VaeHandle
from models.weights import Weights
from nodes.latent_upscalers import LatentUpscaleModelLoader, LTXVLatentUpsampler
from tests.models.conftest import policy, tiny, tiny_file, vae
from tests.nodes.context import node_context

__all__ = ["policy", "tiny", "tiny_file", "vae"]

CHANNELS = 16


def tiny_ltx2(**changes: Any) -> Any:
    """An autoencoder of diffusers with random weights."""
    from diffusers import AutoencoderKLLTX2Video

    usual: dict[str, Any] = {
        "latent_channels": CHANNELS, "block_out_channels": (16, 32, 32, 64),
        "layers_per_block": (1, 2, 1, 1, 1), "decoder_block_out_channels": (16, 32, 64),
        "decoder_layers_per_block": (1, 1, 2, 1), "decoder_causal": False,
        "spatial_compression_ratio": 32, "temporal_compression_ratio": 8,
    }  # fmt: skip
    torch.manual_seed(1)
    network = AutoencoderKLLTX2Video(**{**usual, **changes}).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(2)
    network.latents_mean.copy_(torch.randn(CHANNELS, generator=generator))
    network.latents_std.copy_(torch.rand(CHANNELS, generator=generator) + 0.5)
    return network


def like_ltx23() -> Any:
    """One with four steps up, of all kinds, as later files have."""
    return tiny_ltx2(
        decoder_block_out_channels=(16, 32, 64, 64),
        decoder_layers_per_block=(1, 1, 1, 2, 1),
        decoder_spatio_temporal_scaling=(True,) * 4,
        decoder_inject_noise=(False,) * 5,
        upsample_type=("spatiotemporal", "spatiotemporal", "temporal", "spatial"),
        upsample_residual=(True,) * 4,
        upsample_factor=(2, 2, 2, 1),
    )


def original_names(network: Any, prefix: str = "") -> dict[str, Tensor]:
    """What LTX's authors call the weights of diffusers' network."""
    statistics = {
        "latents_mean": "per_channel_statistics.mean-of-means",
        "latents_std": "per_channel_statistics.std-of-means",
    }
    last = 2 * len(network.encoder.down_blocks)
    named = {}
    for name, tensor in network.state_dict().items():
        name = statistics.get(name, name).replace("resnets", "res_blocks")
        name = name.replace("encoder.mid_block", f"encoder.down_blocks.{last}")
        name = re.sub(
            r"(encoder\.down_blocks)\.(\d)\.(res_blocks|downsamplers\.0)",
            lambda m: (
                f"{m[1]}.{2 * int(m[2])}.res_blocks"
                if m[3] == "res_blocks"
                else f"{m[1]}.{2 * int(m[2]) + 1}"
            ),
            name,
        ) if f"down_blocks.{last}." not in name else name  # fmt: skip
        name = re.sub(
            r"(decoder\.up_blocks)\.(\d)\.(res_blocks|upsamplers\.0)",
            lambda m: (
                f"{m[1]}.{2 * int(m[2]) + 2}.res_blocks"
                if m[3] == "res_blocks"
                else f"{m[1]}.{2 * int(m[2]) + 1}"
            ),
            name,
        )
        named[prefix + name.replace("decoder.mid_block", "decoder.up_blocks.0")] = tensor
    return named


def loaded(network: Any, policy: Policy, prefix: str = "") -> FilmVaeHandle:
    tensors = original_names(network, prefix)
    tensors[f"{prefix}per_channel_statistics.channel"] = torch.zeros(CHANNELS)
    made = vae_of(Weights(path=Path("ltx"), tensors=tensors), policy)
    assert isinstance(made, FilmVaeHandle)
    return made


def film(frames: int, width: int = 96, height: int = 64) -> Tensor:
    return torch.rand(frames, height, width, 3, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def expected(network: Any, frames: Tensor) -> tuple[Tensor, Tensor]:
    """What diffusers makes of frames: a latent, normalised as in its pipelines, and frames."""
    from diffusers import LTX2Pipeline

    latent = network.encode(frames.movedim(-1, 0)[None] * 2 - 1).latent_dist.mode()
    decoded = network.decode(latent).sample
    normalised = LTX2Pipeline._normalize_latents(
        latent, network.latents_mean, network.latents_std, network.config.scaling_factor
    )
    return normalised, (decoded[0].movedim(0, -1) / 2 + 0.5).clamp(0, 1)


@pytest.mark.parametrize("make", [tiny_ltx2, like_ltx23])
@pytest.mark.parametrize("prefix", ["", "vae."])
def test_films_are_encoded_and_decoded_as_by_diffusers(
    make: Any, prefix: str, policy: Policy
) -> None:
    network = make()
    made = loaded(network, policy, prefix)
    assert (made.downscale, made.layout.frames, made.latent_channels) == (32, 8, CHANNELS)
    frames = film(9)
    latent, again = expected(network, frames)
    assert latent.shape == (1, CHANNELS, 2, 2, 3)
    assert torch.allclose(made.encode(frames), latent, atol=1e-4)
    assert torch.allclose(made.encode(film(12)[:12]), expected(network, film(12)[:9])[0], atol=1e-4)
    assert torch.allclose(made.decode(latent), again, atol=1e-4)


def test_long_films_are_decoded_in_tiles_of_time_too(policy: Policy) -> None:
    network = tiny_ltx2()
    made = loaded(network, policy)
    latent = torch.randn(1, CHANNELS, 5, 2, 4, generator=torch.Generator().manual_seed(3))
    network.enable_tiling(64, 64, 16, 64, 64, 8)
    network.use_framewise_decoding = True
    with torch.no_grad():
        decoded = network.decode(made.raw(latent)).sample[0].movedim(0, -1)
    tiled = made.decode_tiled(latent, 2, 2, 0, 2, 1)
    assert torch.allclose(tiled, (decoded / 2 + 0.5).clamp(0, 1), atol=1e-4)
    assert not made.network.module.use_framewise_decoding
    assert not torch.allclose(made.decode(latent), tiled, atol=1e-4)


def test_it_is_saved_under_its_names(policy: Policy) -> None:
    network = like_ltx23()
    saved = vae_tensors(loaded(network, policy))
    assert saved.keys() == original_names(network).keys()
    assert all(torch.equal(saved[name], t) for name, t in original_names(network).items())


def test_steps_of_other_sizes_are_refused(policy: Policy) -> None:
    tensors = original_names(tiny_ltx2())
    tensors["encoder.down_blocks.1.conv.conv.weight"] = torch.zeros(5, 16, 3, 3, 3)
    with pytest.raises(UnsupportedLayout, match="step of 0 values"):
        vae_of(Weights(path=Path("ltx"), tensors=tensors), policy)


KINDS: dict[str, dict[str, Any]] = {
    "twice as large": {"use_rational_resampler": False},
    "by a fraction": {"rational_spatial_scale": 1.5},
    "twice as large, as a fraction": {},
    "more frames": {"spatial_upsample": False, "temporal_upsample": True},
    "both": {"temporal_upsample": True},
    "picture by picture": {"dims": 2, "use_rational_resampler": False},
}


def tiny_upscaler(**changes: Any) -> Any:
    """A network of diffusers with random weights."""
    from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel

    sizes = {"in_channels": CHANNELS, "mid_channels": 32, "num_blocks_per_stage": 2}
    torch.manual_seed(3)
    return LTX2LatentUpsamplerModel(**sizes, **changes).eval().requires_grad_(False)


@pytest.mark.parametrize("kind", KINDS)
def test_latents_are_enlarged_as_by_diffusers(kind: str, policy: Policy, tmp_path: Path) -> None:
    network, of_films = tiny_upscaler(**KINDS[kind]), tiny_ltx2()
    tensors = network.state_dict()
    tensors.pop("upsampler.blur_down.kernel", None)  # which every network has alike
    latent = torch.randn(2, CHANNELS, 3, 2, 4, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        raw = network(of_films.latents_std.reshape(1, -1, 1, 1, 1) * latent
                      + of_films.latents_mean.reshape(1, -1, 1, 1, 1))  # fmt: skip
    with node_context(tmp_path, policy=policy) as folders:
        place = folders.models_root / "latent_upscale_models" / "x.safetensors"
        place.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, place)
        (upscaler,) = LatentUpscaleModelLoader().run("x.safetensors")
    made_vae = loaded(of_films, policy)
    given = {"samples": latent, "noise_mask": torch.ones(2, 1, 3, 2, 4), "kept": 1}
    (made,) = LTXVLatentUpsampler().run(given, upscaler, made_vae)
    assert torch.allclose(made_vae.raw(made["samples"]), raw, atol=1e-4)
    assert made["kept"] == 1 and "noise_mask" not in made


def test_what_does_not_go_together_is_refused(
    policy: Policy, tmp_path: Path, vae: VaeHandle
) -> None:
    save_file(tiny_upscaler().state_dict(), tmp_path / "a.safetensors")
    upscaler = load_latent_upscaler(tmp_path / "a.safetensors", policy)
    with pytest.raises(InvalidInput, match="films of 16 channels"):
        upscaler.enlarge(torch.zeros(1, 4, 8, 8))
    with pytest.raises(InvalidInput, match="needs the VAE of LTX-Video"):
        LTXVLatentUpsampler().run({"samples": torch.zeros(1, CHANNELS, 1, 1, 1)}, upscaler, vae)
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(UnknownModelFamily):
        load_latent_upscaler(tmp_path / "b.safetensors", policy)
