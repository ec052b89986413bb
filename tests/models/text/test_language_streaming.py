"""Language models that do not fit onto the device write what they write elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.devices import HostMemory, StatedMemory
from models.memory import Policy
from models.residents import Residents
from models.text.chunks import Picture, Token
from models.text.language.generation import Writing, write
from tests.models.text import language_models as tiny

AWAY = torch.device("cpu:0")
IDS = [9, 11, 250, 37]


@pytest.mark.parametrize(
    "make", [tiny.qwen3, tiny.qwen2_5_vl, tiny.qwen3_5, tiny.gemma2, tiny.gemma3]
)
def test_weights_come_layer_by_layer(
    make: Callable[[], Any], tmp_path: Path, policy: Policy
) -> None:
    path = tiny.write(tmp_path / "model.safetensors", tiny.tensors_of(make()))
    tokens = [Token(number) for number in IDS]
    encoder = tiny.encoder_of(tiny.loaded("ltxv", path, policy))
    expected = write(encoder, tokens, Writing(most=5), policy)
    states = encoder.states(tokens, policy)
    memory = StatedMemory(encoder.network.size() // 2, "cpu:0")
    small = replace(policy, text_device=AWAY, residents=Residents(HostMemory(), memory))
    encoder.network.rest()
    assert write(encoder, tokens, Writing(most=5), small) == expected
    assert small.residents.counts.streamed > 0
    assert encoder.network.is_streaming
    for found, wanted in zip(encoder.states(tokens, small), states, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_pictures_are_seen_by_a_model_that_streams(tmp_path: Path, policy: Policy) -> None:
    path = tiny.write(tmp_path / "model.safetensors", tiny.tensors_of(tiny.qwen3_vl()))
    encoder = tiny.encoder_of(tiny.loaded("ltxv", path, policy))
    frames = torch.rand(1, 256, 288, 3, generator=torch.Generator().manual_seed(1))
    tokens = [Token(9), Token(0, picture=Picture(frames=frames)), Token(17)]
    expected = write(encoder, tokens, Writing(most=4), policy)
    memory = StatedMemory(encoder.network.size() // 2, "cpu:0")
    small = replace(policy, text_device=AWAY, residents=Residents(HostMemory(), memory))
    encoder.network.rest()
    assert encoder.vision is not None
    encoder.vision.rest()
    assert write(encoder, tokens, Writing(most=4), small) == expected
