"""Wan's autoencoders from files, against diffusers' own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.errors import InvalidInput, UnknownModelFamily, UnsupportedLayout
from models.film.vae import FilmVaeHandle
from models.load import load_checkpoint, load_unet, load_vae, vae_of
from models.memory import Policy
from models.model_files import vae_tensors
from models.previews import LatentColours
from models.protocol.latent_formats import LatentFormat
from models.protocol.wan_statistics import DEVIATION_22, MEAN_22
from models.weights import Weights
from nodes.vae import VAEDecode, VAEDecodeTiled, VAEEncode, VAEEncodeTiled
from tests.models.conftest import policy

__all__ = ["policy"]

_LAYERS = {
    "norm1": "residual.0",
    "conv1": "residual.2",
    "norm2": "residual.3",
    "conv2": "residual.6",
    "conv_shortcut": "shortcut",
}
# What no shape tells: a default, or what the latent space says.
UNSEEN = {"decoder_base_dim", "latents_mean", "latents_std", "_use_default_values"}
_FIXED = {
    "quant_conv": "conv1",
    "post_quant_conv": "conv2",
    "encoder.conv_in": "encoder.conv1",
    "decoder.conv_in": "decoder.conv1",
    "norm_out": "head.0",
    "conv_out": "head.2",
    "mid_block.attentions.0": "middle.1",
}


def tiny_wan(version: str, **changes: Any) -> Any:
    """An autoencoder of diffusers with random weights: `2.1` or `2.2`."""
    from diffusers import AutoencoderKLWan

    newer: dict[str, Any] = {
        "z_dim": 48, "decoder_base_dim": 8, "is_residual": True, "in_channels": 12,
        "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16,
        "latents_mean": list(MEAN_22), "latents_std": list(DEVIATION_22),
    }  # fmt: skip
    options = newer if version == "2.2" else {}
    torch.manual_seed(0)
    usual = {"base_dim": 4, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2}
    network = AutoencoderKLWan(**{**usual, **options, **changes}).eval()
    for parameter in network.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    return network


def original_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What Wan's authors call the weights of diffusers' network."""
    return {_original(name, tensors): tensor for name, tensor in tensors.items()}


def _original(name: str, tensors: dict[str, Tensor]) -> str:
    is_nested = any(".downsampler." in other for other in tensors)
    stem, _, kind = name.rpartition(".")
    middle = re.fullmatch(r"(\w+)\.mid_block\.resnets\.([01])\.(\w+)", stem)
    block = re.fullmatch(r"(\w+)\.(down|up)_blocks\.(\d+)\.(.+)", stem)
    if middle is not None:
        return f"{middle[1]}.middle.{2 * int(middle[2])}.{_LAYERS[middle[3]]}.{kind}"
    if block is None:
        for theirs, ours in _FIXED.items():
            if stem == theirs or (theirs in stem and theirs != "conv_in" and "." in stem):
                return stem.replace(theirs, ours) + f".{kind}"
        raise AssertionError(name)
    part, way, level, rest = block.groups()
    row = f"{part}.{way}samples"
    resnet = re.fullmatch(r"resnets\.(\d+)\.(\w+)", rest)
    if is_nested:
        row = f"{row}.{level}.{way}samples"
        last = 2 if way == "down" else 3
        if resnet is not None:
            return f"{row}.{resnet[1]}.{_LAYERS[resnet[2]]}.{kind}"
        return f"{row}.{last}.{rest.partition('.')[2]}.{kind}"
    if way == "down":  # one row in diffusers as well
        return f"{row}.{level}.{_LAYERS.get(rest, rest)}.{kind}"
    if resnet is not None:
        return f"{row}.{4 * int(level) + int(resnet[1])}.{_LAYERS[resnet[2]]}.{kind}"
    return f"{row}.{4 * int(level) + 3}.{rest.removeprefix('upsamplers.0.')}.{kind}"


@pytest.fixture(scope="module", params=["2.1", "2.2"])
def network(request: pytest.FixtureRequest) -> Any:
    return tiny_wan(request.param)


def loaded(network: Any, policy: Policy, prefix: str = "") -> FilmVaeHandle:
    tensors = {prefix + k: v for k, v in original_names(network.state_dict()).items()}
    vae = vae_of(Weights(path=Path("wan"), tensors=tensors), policy)
    assert isinstance(vae, FilmVaeHandle)
    return vae


@pytest.fixture(scope="module")
def vae(network: Any, policy: Policy) -> FilmVaeHandle:
    return loaded(network, policy)


def film(frames: int, width: int = 64, height: int = 32) -> Tensor:
    return torch.rand(frames, height, width, 3, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def expected(network: Any, frames: Tensor) -> tuple[Tensor, Tensor]:
    """What diffusers makes of frames: a latent, and frames again."""
    pixels = frames.movedim(-1, 0)[None] * 2 - 1
    latent = network.encode(pixels).latent_dist.mode()
    decoded = network.decode(latent).sample
    return latent, (decoded[0].movedim(0, -1) / 2 + 0.5).clamp(0, 1)


def test_films_are_encoded_and_decoded_as_by_diffusers(network: Any, vae: FilmVaeHandle) -> None:
    frames = film(9)
    latent, again = expected(network, frames)
    (encoded,) = VAEEncode().run(vae, frames)
    assert encoded["samples"].shape == (1, vae.latent_channels, 3, 32 // vae.downscale,
                                        64 // vae.downscale)  # fmt: skip
    assert torch.allclose(encoded["samples"], latent, atol=1e-5)
    (decoded,) = VAEDecode().run(vae, encoded)
    assert decoded.shape == (9, 32, 64, 3)
    assert torch.allclose(decoded, again, atol=1e-5)


def test_the_configuration_is_seen_from_shapes(network: Any, vae: FilmVaeHandle) -> None:
    made = vae.network.module.config
    for name, value in network.config.items():
        if name not in UNSEEN:
            assert made[name] == value, name


def test_pictures_are_films_of_one_frame(network: Any, vae: FilmVaeHandle) -> None:
    latent, again = expected(network, film(1))
    assert torch.allclose(vae.encode(film(1)), latent, atol=1e-5)
    several = torch.cat([latent[:, :, 0]] * 2)
    assert torch.allclose(vae.decode(several), again.expand(2, -1, -1, -1), atol=1e-5)


def test_frames_and_sides_that_are_too_many_are_cut(network: Any, vae: FilmVaeHandle) -> None:
    given = film(8, width=70, height=33)
    latent, _ = expected(network, vae.crop(given[:5]))
    assert torch.allclose(vae.encode(given), latent, atol=1e-5)


def test_tiles_are_those_of_diffusers(network: Any, vae: FilmVaeHandle) -> None:
    frames = film(5, width=192, height=96)
    network.enable_tiling(64, 64, 48, 48)
    try:
        latent, again = expected(network, frames)
    finally:
        network.disable_tiling()
    (encoded,) = VAEEncodeTiled().run(vae, frames, 64, 16)
    assert torch.allclose(encoded["samples"], latent, atol=1e-5)
    (decoded,) = VAEDecodeTiled().run(vae, encoded, 64, 16)
    assert torch.allclose(decoded, again, atol=1e-5)
    assert not vae.network.module.use_tiling
    assert not torch.equal(vae.decode(latent), decoded)  # tiles differ from the whole


def test_files_in_checkpoints_and_of_diffusers_are_known(
    network: Any, vae: FilmVaeHandle, policy: Policy, tmp_path: Path
) -> None:
    latent = vae.encode(film(1))
    inside = loaded(network, policy, "vae.")
    assert torch.equal(inside.encode(film(1)), latent)
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    of_diffusers = load_vae(tmp_path / "a.safetensors", policy)
    assert torch.allclose(of_diffusers.encode(film(1)), latent, atol=1e-6)


def test_an_autoencoder_alone_is_no_diffusion_model(
    network: Any, policy: Policy, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save_file(network.state_dict(), path)
    for load in (load_unet, load_checkpoint):
        with pytest.raises(UnknownModelFamily):
            load(path, policy)


def test_nothing_of_a_film_stays_when_it_is_not_finished(
    vae: FilmVaeHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = vae.network.module
    latent = vae.encode(film(5))
    works: list[tuple[Any, Callable[[], Tensor]]] = [
        (module.encoder, lambda: vae.encode(film(5))),
        (module.decoder, lambda: vae.decode(latent)),
    ]
    for half, work in works:
        whole = half.forward
        calls: list[int] = []

        def interrupted(*args: Any, whole: Any = whole, calls: Any = calls, **more: Any) -> Any:
            calls.append(1)
            if len(calls) > 1:
                raise KeyboardInterrupt
            return whole(*args, **more)

        monkeypatch.setattr(half, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            work()
        kept = [*module._feat_map, *module._enc_feat_map]
        assert not any(torch.is_tensor(state) for state in kept)


def test_it_is_saved_under_its_names(network: Any, vae: FilmVaeHandle) -> None:
    saved = vae_tensors(vae)
    expected_tensors = original_names(network.state_dict())
    assert saved.keys() == expected_tensors.keys()
    assert all(torch.equal(saved[name], tensor) for name, tensor in expected_tensors.items())


def test_latents_of_other_models_are_refused(vae: FilmVaeHandle) -> None:
    with pytest.raises(InvalidInput, match="latents of films of"):
        vae.decode(torch.zeros(1, 4, 8, 8))
    with pytest.raises(InvalidInput, match=r"must be \[T, H, W, 3\]"):
        vae.encode(torch.zeros(8, 8, 3))


def test_frames_of_a_film_are_previewed_in_its_colours(vae: FilmVaeHandle) -> None:
    space = LatentFormat()
    space.latent_channels, space.latent_dimensions = vae.latent_channels, 3
    colours = LatentColours(vae, space)
    latent = vae.encode(film(5))
    picture = colours.picture(latent)
    assert picture.size == (64, 32)
    assert picture == colours.picture(latent[:, :, :1])


def test_other_numbers_of_blocks_are_refused(policy: Policy) -> None:
    tensors = original_names(tiny_wan("2.1").state_dict())
    fewer = {
        name.replace("encoder.downsamples.2.", "encoder.downsamples.1."): tensor
        for name, tensor in tensors.items()
        if not name.startswith("encoder.downsamples.1.")
    }
    with pytest.raises(UnsupportedLayout, match="two blocks"):
        vae_of(Weights(path=Path("wan"), tensors=fewer), policy)
