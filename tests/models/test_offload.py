"""Networks whose weights come layer by layer compute what they compute whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.devices import StatedMemory
from models.load import unet_of
from models.memory import Policy, Precision, choose_policy
from models.offload import can_stream, stop_streaming, stream_weights, weight_bytes
from models.text.families import SD3
from models.weights import Weights, open_weights
from tests.models import tiny_chroma, tiny_flux, tiny_sd3, tiny_stable_audio, tiny_z_image
from tests.models.text.encoders import handle, t5, with_t5_tokenizer
from tests.models.tiny_flux import TinyFlux

AWAY = torch.device("cpu:0")
Case = tuple[Weights, dict[str, Any]]


def flux(folder: Path) -> Case:
    model = TinyFlux()
    return model.weights(), tiny_flux.inputs(model)


def sd3(folder: Path) -> Case:
    module = tiny_sd3.transformer(tiny_sd3.MEDIUM_35)
    path = tiny_sd3.save_transformer(folder / "t.safetensors", module)
    return open_weights(path), tiny_sd3.inputs()


def stable_audio(folder: Path) -> Case:
    tensors = tiny_stable_audio.checkpoint(tiny_stable_audio.pipeline())
    generator = torch.Generator().manual_seed(5)
    inputs = {
        "x": torch.randn(2, 64, 9, generator=generator),
        "timesteps": torch.tensor([0.9, 0.3]),
        "context": torch.randn(2, 128, tiny_stable_audio.WIDTH, generator=generator),
        "seconds": torch.tensor([[0.0, 0.1], [0.02, 0.5]]),
    }
    return Weights(path=folder, tensors=tensors), inputs


def z_image(folder: Path) -> Case:
    tensors = tiny_z_image.tensors(tiny_z_image.transformer())
    inputs = {
        "x": tiny_z_image.normal(3, 2, 16, 6, 10),
        "timesteps": torch.tensor([0.9, 0.3]),
        "context": tiny_z_image.normal(2, 2, 7, tiny_z_image.PROMPT),
    }
    return Weights(path=folder, tensors=tensors), inputs


def chroma(folder: Path) -> Case:
    tensors = tiny_chroma.tensors(tiny_chroma.transformer())
    inputs = {
        "x": tiny_z_image.normal(3, 2, 16, 6, 10),
        "timesteps": torch.tensor([0.9, 0.3]),
        "context": tiny_z_image.normal(2, 2, 7, tiny_chroma.PROMPT),
    }
    return Weights(path=folder, tensors=tensors), inputs


@pytest.mark.parametrize("make", [flux, sd3, stable_audio, z_image, chroma])
@pytest.mark.parametrize("unet", [None, "fp8_e4m3fn"])
@pytest.mark.parametrize("share", [0.0, 0.6])
@torch.inference_mode()  # as in a worker
def test_transformers_stream(
    make: Callable[[Path], Case], unet: Precision | None, share: float, tmp_path: Path
) -> None:
    weights, inputs = make(tmp_path)
    whole = unet_of(weights, choose_policy(cpu=True, unet=unet))
    expected = whole.model.diffusion_model(**inputs)
    room = int(whole.network.size() * share)
    streaming = unet_of(weights, choose_policy(memory=StatedMemory(room), unet=unet))
    for _ in range(2):
        torch.testing.assert_close(streaming.model.diffusion_model(**inputs), expected)
    assert streaming.network.is_streaming
    assert streaming.network.size() == whole.network.size()
    there = streaming.network.bytes_on(AWAY)
    assert 0.6 * room <= there <= room + weight_bytes(_loose(streaming.network.module))


def _loose(module: nn.Module) -> nn.Module:
    """What layers do not hold: it is on the device in any case."""
    made = nn.Module()
    for number, parameter in enumerate(module.parameters(recurse=False)):
        made.register_parameter(str(number), parameter)
    return made


def test_t5_streams_where_it_does_not_fit(tmp_path: Path, policy: Policy) -> None:
    folders, module = with_t5_tokenizer(tmp_path), t5()
    expected = handle(SD3, policy, folders, t5xxl=module).encode_text("a red cat")[0][0]
    for share in (0.0, 0.5):
        size = weight_bytes(module)
        small = choose_policy(memory=StatedMemory(int(size * share)))
        text = handle(SD3, small, folders, t5xxl=module)
        torch.testing.assert_close(text.encode_text("a red cat")[0][0], expected)
        network = text.encoders["t5xxl"].network
        assert network.is_streaming
        assert network.bytes_on(AWAY) <= size * share


class Nested(nn.Module):
    """A large block in a list, with a weight of its own beside its layers."""

    _supports_group_offloading = True

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(8))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8)) for _ in range(40)
        )
        self.register_buffer("shift", torch.rand(8))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x * self.scale + self.get_buffer("shift")


@torch.no_grad()
def test_as_many_blocks_stay_as_fit() -> None:
    module, x = Nested().requires_grad_(False), torch.rand(3, 8)
    expected, size = module(x), weight_bytes(module)
    assert can_stream(module)
    staying = stream_weights(module, AWAY, size // 2)
    assert 0.45 * size < staying <= size // 2
    torch.testing.assert_close(module(x), expected)
    stop_streaming(module)
    torch.testing.assert_close(module(x), expected)
    assert not can_stream(nn.Linear(2, 2))
