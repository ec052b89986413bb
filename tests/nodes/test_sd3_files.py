"""Files of Stable Diffusion 3 through nodes: loading, LoRA, saving, sampling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from executor.folders import Folders
from models.handle import ModelHandle
from models.memory import Policy
from nodes.layered_merging import ModelMergeSD3_2B
from nodes.loaders import LoraLoaderModelOnly
from nodes.model_sampling import ModelSamplingAuraFlow, ModelSamplingSD3
from nodes.model_saving import ModelSave
from nodes.part_loaders import UNETLoader
from tests.models import tiny_sd3
from tests.models.conftest import policy
from tests.models.tiny import save
from tests.nodes.context import node_context

__all__ = ["policy"]


@pytest.fixture
def folders(tmp_path: Path, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy) as made:
        module = tiny_sd3.transformer(tiny_sd3.MEDIUM_35)
        path = made.models_root / "diffusion_models" / "a.safetensors"
        save(path, tiny_sd3.diffusers_tensors(module), tiny_sd3.STATED)
        yield made


def load(name: str = "a.safetensors") -> ModelHandle:
    (model,) = UNETLoader().run(name, "default")
    return model


def said(model: ModelHandle, given: dict[str, Tensor] | None = None) -> Tensor:
    found = tiny_sd3.inputs() if given is None else given
    network = model.model.diffusion_model
    output: Tensor = network.run(
        found["x"], found["timesteps"], found["context"], y=found["y"], patches=model.patches
    )
    return output


def with_lora(model: ModelHandle, folders: Folders) -> ModelHandle:
    """With a LoRA for the first block, which is for a third of a weight."""
    layer = "transformer.transformer_blocks.0.attn.to_q"
    generator = torch.Generator().manual_seed(1)
    lora = {
        f"{layer}.lora_B.weight": torch.randn(16, 2, generator=generator),
        f"{layer}.lora_A.weight": torch.randn(2, 16, generator=generator),
    }
    save_file(lora, folders.models_root / "loras" / "l.safetensors")
    (model,) = LoraLoaderModelOnly().run(model, "l.safetensors", 0.8)
    return model


def test_a_model_is_saved_with_its_lora_under_original_names(folders: Folders) -> None:
    plain = load()
    model = with_lora(plain, folders)
    ModelSave().run(model, "saved")
    [path] = folders.output.glob("saved*.safetensors")
    with safe_open(path, "pt") as file:
        names, metadata = set(file.keys()), file.metadata()
    assert "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight" in names
    assert "modelspec.predict_key" not in metadata  # flows are neither of its kinds
    path.rename(folders.models_root / "diffusion_models" / "b.safetensors")
    assert torch.allclose(said(load("b.safetensors")), said(model), atol=1e-5)
    assert not torch.allclose(said(model), said(plain), atol=1e-2)


@pytest.mark.parametrize(("block", "is_second"), [(0, True), (1, False)])
def test_models_are_merged_by_layer(block: int, is_second: bool, folders: Folders) -> None:
    first, second = load(), with_lora(load(), folders)
    ratios = dict.fromkeys(list(ModelMergeSD3_2B.REQUIRED)[2:], 1.0)
    (made,) = ModelMergeSD3_2B().run(first, second, **(ratios | {f"joint_blocks.{block}.": 0.0}))
    assert torch.allclose(said(made), said(second if is_second else first), atol=1e-5)


@pytest.mark.parametrize(
    ("made", "time"),
    [
        (lambda m: m, 500.0),
        (lambda m: ModelSamplingSD3().run(m, 1.0)[0], 500.0),
        (lambda m: ModelSamplingAuraFlow().run(m, 1.0)[0], 0.5),
    ],
    ids=["own", "SD3", "AuraFlow"],
)
def test_the_network_is_told_the_time_of_its_noise_levels(
    made: Any, time: float, folders: Folders
) -> None:
    model, given = load(), tiny_sd3.inputs()
    x, sigma = given["x"], torch.tensor([0.5, 0.5])
    velocity = said(model, given | {"timesteps": torch.tensor([time, time])})
    found = made(model).denoised(x, sigma, given["context"], y=given["y"])
    assert torch.allclose(found, x - 0.5 * velocity, atol=1e-5)


def test_a_shift_moves_the_middle_of_a_run(folders: Folders) -> None:
    (shifted,) = ModelSamplingSD3().run(load(), 6.0)
    middle = [
        model.get_model_object("model_sampling").percent_to_sigma(0.5)
        for model in (shifted, load())
    ]
    assert middle == pytest.approx([6 / 7, 3 / 4])
