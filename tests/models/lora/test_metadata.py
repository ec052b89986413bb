"""What the files of LoRAs say, carried by the models that have them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.errors import InvalidInput
from models.handle import ModelHandle
from models.load import Checkpoint
from nodes.loaders import GetICLoRAParameters, LoraLoaderModelOnly
from tests.nodes.context import node_context

LAYER = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"


def with_lora(
    model: ModelHandle, base: Path, metadata: dict[str, str] | None, strength: float = 1.0
) -> ModelHandle:
    """The model with a LoRA of a file with that metadata."""
    width = model.network.shape("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight")
    with node_context(base) as folders:
        path = folders.kind_folders("loras")[0] / f"{metadata}.safetensors"
        up, down = torch.ones(width[0], 1), torch.ones(1, width[1])
        tensors = {f"{LAYER}.lora_up.weight": up, f"{LAYER}.lora_down.weight": down}
        save_file(tensors, path, metadata=metadata)
        (made,) = LoraLoaderModelOnly().run(model, path.name, strength)
    return made


def factor(model: ModelHandle) -> float:
    return GetICLoRAParameters().run(model)[0]["reference_downscale_factor"]


def test_the_last_lora_that_says_it_tells_how_small_references_are(
    tiny: Checkpoint, tmp_path: Path
) -> None:
    assert factor(tiny.model) == 1
    model = with_lora(tiny.model, tmp_path, {"reference_downscale_factor": "2"})
    assert factor(model) == 2
    assert factor(tiny.model) == 1
    model = with_lora(model, tmp_path, {"format": "pt"})
    model = with_lora(model, tmp_path, None)
    model = with_lora(model, tmp_path, {"reference_downscale_factor": "4"}, strength=0.0)
    assert factor(model) == 2
    assert factor(with_lora(model, tmp_path, {"reference_downscale_factor": "3.0"})) == 3


@pytest.mark.parametrize("said", ["a", "0", "nan", "inf", "-1"])
def test_a_factor_that_is_none_is_refused_as_it_is_said(
    tiny: Checkpoint, tmp_path: Path, said: str
) -> None:
    model = with_lora(tiny.model, tmp_path, {"reference_downscale_factor": said})
    with pytest.raises(InvalidInput, match=f"'{said}'"):
        factor(model)
