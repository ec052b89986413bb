"""The exported names are the original ones: diffusers' converters turn them back exactly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from safetensors import safe_open
from torch import Tensor

from models.starter.attention import CpuAttention
from models.starter.diffusion import Denoiser, build_unet
from models.starter.export import save_checkpoint
from models.starter.vae import build_vae
from models.starter.wording import Wording


@pytest.fixture(scope="module")
def unet_and_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Denoiser, Path]:
    torch.manual_seed(0)
    wording = Wording.of(["a red cat"])
    denoiser = Denoiser(wording.size)
    text: dict[str, Tensor] = dict(denoiser.text.state_dict())
    table = "embeddings.token_embedding.weight"
    text[table] = wording.spread(text[table])
    path = tmp_path_factory.mktemp("export") / "untrained.safetensors"
    save_checkpoint(path, denoiser.unet, build_vae(), text)
    return denoiser, path


def _tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118


def test_the_unet_comes_back_exactly(unet_and_file: tuple[Denoiser, Path]) -> None:
    denoiser, path = unet_and_file
    loaded = build_unet()
    names = convert_ldm_unet_checkpoint(_tensors(path), loaded.config)
    loaded.load_state_dict(names, strict=True)
    original = build_unet()
    original.load_state_dict({k: v.half().float() for k, v in denoiser.unet.state_dict().items()})
    x, context = torch.randn(2, 4, 16, 16), torch.randn(2, 77, 64)
    with torch.no_grad():
        expected = original(x, torch.tensor([3, 900]), encoder_hidden_states=context).sample
        seen = loaded(x, torch.tensor([3, 900]), encoder_hidden_states=context).sample
    assert seen.equal(expected)


def test_the_autoencoder_comes_back_exactly(unet_and_file: tuple[Denoiser, Path]) -> None:
    loaded = build_vae()
    names = convert_ldm_vae_checkpoint(_tensors(unet_and_file[1]), loaded.config)
    loaded.load_state_dict(names, strict=True)


def test_the_file_says_what_shapes_cannot_tell(unet_and_file: tuple[Denoiser, Path]) -> None:
    with safe_open(unet_and_file[1], "pt") as file:
        config = json.loads(file.metadata()["darkroom.config"])
    assert config["unet"] == {"num_attention_heads": 4, "norm_num_groups": 8}
    assert config["vae"] == {"norm_num_groups": 8}
    assert config["text_encoder"]["num_attention_heads"] == 4


def test_attention_in_training_gives_the_numbers_of_diffusers() -> None:
    torch.manual_seed(1)
    unet = build_unet()
    inputs = torch.randn(2, 4, 16, 16), torch.tensor([3, 500])
    context = torch.randn(2, 77, 64)
    with torch.no_grad():
        expected = unet(*inputs, encoder_hidden_states=context).sample
        unet.set_attn_processor(CpuAttention())
        seen = unet(*inputs, encoder_hidden_states=context).sample
    assert torch.allclose(seen, expected, atol=1e-4)
