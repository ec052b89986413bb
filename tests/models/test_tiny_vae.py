"""Tiny autoencoders: files, latents, and names among the choices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import save_file

from executor.file_options import VAES, FileOptionLists
from executor.folders import Folders
from models.errors import InvalidInput, PartMissing
from models.load import Checkpoint
from models.memory import Policy
from models.tiny_vae import load_tiny_vae
from models.vae import VaeHandle
from nodes.context import NodeSettings, current_context
from nodes.loaders import VAELoader
from nodes.previews import drawer
from nodes.vae import VAEDecodeTiled, VAEEncodeTiled
from tests.models.conftest import policy, tiny, tiny_file
from tests.nodes.context import node_context

__all__ = ["policy", "tiny", "tiny_file"]


def save_halves(
    folder: Path, *halves: str, name: str = "taesd", channels: int = 4
) -> AutoencoderTiny:
    """Write a tiny autoencoder as its authors do: a file a half, with a layer more before."""
    torch.manual_seed(1)
    module = AutoencoderTiny(latent_channels=channels).eval()
    for half in halves:
        prefix, shift = f"{half}.layers.", 1 if half == "decoder" else 0
        tensors = {}
        for layer, tensor in module.state_dict().items():
            if layer.startswith(prefix):
                number, _, rest = layer.removeprefix(prefix).partition(".")
                tensors[f"{int(number) + shift}.{rest}"] = tensor.contiguous()
        save_file(tensors, folder / f"{name}_{half}.safetensors")
    return module


@pytest.fixture
def folders(tmp_path: Path, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "channels", "scale", "shift"),
    [("taesd", 4, 0.18215, 0.0), ("taesd3", 16, 1.5305, 0.0609), ("taef1", 16, 0.3611, 0.1159)],
)
def test_a_tiny_autoencoder_scales_its_latents(
    name: str, channels: int, scale: float, shift: float, folders: Folders
) -> None:
    approx = folders.models_root / "vae_approx"
    module = save_halves(approx, "encoder", "decoder", name=name, channels=channels)
    (vae,) = VAELoader().run(name)
    assert isinstance(vae, VaeHandle)
    assert vae.latent_channels == channels
    latent, picture = torch.randn(1, channels, 3, 4), torch.rand(1, 16, 24, 3)
    with torch.no_grad():
        decoded = module.decode((latent - shift) * scale).sample
        encoded = module.encode(picture.movedim(-1, 1) * 2 - 1).latents
    expected = ((decoded + 1) / 2).clamp(0, 1).movedim(1, -1)
    assert torch.allclose(vae.decode(latent), expected, atol=1e-4)
    assert torch.allclose(vae.encode(picture), encoded / scale + shift, atol=1e-3)


def test_it_is_offered_when_both_halves_are_there(folders: Folders) -> None:
    listed = FileOptionLists(folders)
    approx = folders.models_root / "vae_approx"
    save_halves(approx, "decoder")
    assert listed.names(VAES) == []
    save_halves(approx, "encoder")
    (folders.models_root / "vae" / "v.safetensors").touch()
    assert listed.names(VAES) == ["v.safetensors", "taesd"]


def test_half_of_it_decodes_and_says_so_else(folders: Folders, policy: Policy) -> None:
    approx = folders.models_root / "vae_approx"
    with pytest.raises(PartMissing, match="taesd_decoder"):
        load_tiny_vae("taesd", [approx, approx / "none"], policy)
    save_halves(approx, "decoder")
    vae = load_tiny_vae("taesd", [approx], policy)
    assert vae.decode(torch.zeros(1, 4, 2, 2)).shape == (1, 16, 16, 3)
    with pytest.raises(InvalidInput, match="only a decoder"):
        vae.encode(torch.zeros(1, 16, 16, 3))


def test_tiles_join_without_seams(folders: Folders) -> None:
    save_halves(folders.models_root / "vae_approx", "encoder", "decoder")
    (vae,) = VAELoader().run("taesd")
    latent = torch.full((1, 4, 24, 24), 0.3)
    (tiled,) = VAEDecodeTiled().run(vae, {"samples": latent}, 128, 64)
    whole = vae.decode(latent)
    assert tiled.shape == whole.shape
    assert torch.allclose(tiled[:, 64:128, 64:128], whole[:, 64:128, 64:128], atol=0.05)
    (encoded,) = VAEEncodeTiled().run(vae, torch.rand(1, 136, 192, 3), 64, 32)
    assert encoded["samples"].shape == (1, 4, 17, 24)


def test_what_does_not_fit_into_memory_is_done_in_tiles(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    save_halves(folders.models_root / "vae_approx", "encoder", "decoder")
    (vae,) = VAELoader().run("taesd")
    original = AutoencoderTiny.decode

    def limited(self: AutoencoderTiny, x: torch.Tensor, **options: object) -> object:
        if x.shape[-1] > 64:
            raise torch.OutOfMemoryError("too large")
        return original(self, x, **options)

    monkeypatch.setattr(AutoencoderTiny, "decode", limited)
    assert vae.decode(torch.zeros(1, 4, 8, 80)).shape == (1, 64, 640, 3)
    assert "in tiles" in caplog.text


def test_previews_are_drawn_by_the_tiny_decoder_if_asked(
    folders: Folders, tiny: Checkpoint, policy: Policy
) -> None:
    def picture(method: str) -> Image.Image:
        settings = NodeSettings(preview_method=method)
        with node_context(folders.base, policy=policy, settings=settings):
            draw = drawer(current_context(), tiny.model)
        assert draw is not None
        made = draw(torch.full((1, 4, 2, 3), 0.4))
        assert made is not None
        return made

    linear = picture("latent2rgb")
    assert picture("taesd").tobytes() == linear.tobytes()  # there is no file yet
    module = save_halves(folders.models_root / "vae_approx", "decoder")
    drawn = picture("taesd")
    assert drawn.size == (24, 16)
    with torch.no_grad():
        expected = module.decode(torch.full((1, 4, 2, 3), 0.4)).sample[0]
    pixels = expected.add(1).div(2).clamp(0, 1).mul(255).round().byte().movedim(0, -1)
    assert drawn.tobytes() == pixels.contiguous().numpy().tobytes()
    with node_context(folders.base, policy=policy):
        assert drawer(current_context(), tiny.model) is None
