"""Words in boxes, from a file to a latent."""

from __future__ import annotations

from pathlib import Path

import torch

from models.load import Checkpoint
from models.memory import Policy
from nodes.conditioning import CLIPTextEncode
from nodes.gligen import GLIGENLoader, GLIGENTextBoxApply
from nodes.sampling import KSampler
from tests.models.conftest import policy, tiny, tiny_file
from tests.models.tiny import TinyModel, save
from tests.models.tiny_gligen import gligen_tensors
from tests.nodes.context import node_context

__all__ = ["policy", "tiny", "tiny_file"]


def test_a_box_moves_the_picture(tmp_path: Path, tiny: Checkpoint, policy: Policy) -> None:
    (prompt,) = CLIPTextEncode().run(tiny.text, "a cat")
    latent = {"samples": torch.zeros(1, 4, 8, 8)}
    found: list[torch.Tensor] = []
    with node_context(tmp_path, policy=policy) as folders:
        path = Path(folders.kind_folders("gligen")[0]) / "boxes.safetensors"
        save(path, gligen_tensors(), TinyModel().config)
        (gligen,) = GLIGENLoader().run("boxes.safetensors")
        assert GLIGENLoader().run("boxes.safetensors")[0] is gligen
        for x in (0, 32):
            (placed,) = GLIGENTextBoxApply().run(prompt, tiny.text, gligen, "cat", 32, 32, x, 16)
            (result,) = KSampler().run(
                tiny.model, 1, 2, 2.0, "euler", "normal", placed, prompt, latent
            )
            found.append(result["samples"])
    assert all(torch.isfinite(samples).all() for samples in found)
    assert not torch.allclose(found[0], found[1], atol=1e-3)
