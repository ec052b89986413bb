"""Quantised weights that wait at home while the device computes layer by layer."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from models.load import unet_of
from models.memory import Policy
from models.stored import StoredTensor
from models.weights import open_weights
from tests.models.gguf_files import write_gguf
from tests.models.tiny import TinyModel

MODEL = TinyModel(channels=(64, 64), depths=(1, 0), context=64)
AWAY = torch.device("cpu:0")


def test_a_quantised_network_streams(tmp_path: Path, policy: Policy) -> None:
    write_gguf(tmp_path / "q.gguf", MODEL.unet(), "Q8_0", config=MODEL.config)
    network = unet_of(open_weights(tmp_path / "q.gguf"), policy).network
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 4, 8, 8, generator=generator)
    context = torch.randn(1, 7, MODEL.context, generator=generator)

    def said() -> Tensor:
        with torch.no_grad():
            output: Tensor = network.module(x, 500, context, return_dict=False)[0]
        return output

    network.place(torch.device("cpu"))
    wanted = said()
    network.stream(AWAY, network.size() // 3)
    assert 0 < network.bytes_on(AWAY) <= network.size() // 3
    for _ in range(2):
        assert torch.equal(said(), wanted)
    network.place(torch.device("cpu"))
    assert torch.equal(said(), wanted)
    assert any(isinstance(p, StoredTensor) for p in network.module.parameters())
