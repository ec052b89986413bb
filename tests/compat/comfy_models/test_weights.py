"""LoRAs and other patches of weights, by the names that packs use."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from comfy import lora, model_patcher, sd
from safetensors.torch import save_file
from torch import Tensor, nn

from models.handle import ModelHandle
from models.lora import apply_lora, load_lora
from models.text.handle import TextHandle
from tests.compat.comfy_models.runs import run

KEY = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_q.weight"
TEXT_KEY = "clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight"


def lora_tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    name = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_q"
    text = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    return {
        f"{name}.lora_up.weight": torch.randn(16, 2, generator=generator),
        f"{name}.lora_down.weight": torch.randn(2, 16, generator=generator),
        f"{name}.alpha": torch.tensor(1.0),
        f"{text}.lora_up.weight": torch.randn(64, 2, generator=generator),
        f"{text}.lora_down.weight": torch.randn(2, 16, generator=generator),
    }


def test_a_lora_from_tensors_is_that_of_our_loader(
    model: ModelHandle, clip: TextHandle, tmp_path: Path
) -> None:
    save_file(lora_tensors(), tmp_path / "lora.safetensors")
    ours, our_clip = apply_lora(
        load_lora(tmp_path / "lora.safetensors"), model, clip, strength_model=0.7, strength_text=0.4
    )
    theirs, their_clip = sd.load_lora_for_models(model, clip, lora_tensors(), 0.7, 0.4)
    assert our_clip is not None
    assert torch.equal(run(theirs), run(ours))
    assert torch.equal(their_clip.encode("a cat"), our_clip.encode("a cat"))
    assert not torch.allclose(run(theirs), run(model), atol=1e-3)
    assert not torch.allclose(their_clip.encode("a cat"), clip.encode("a cat"), atol=1e-3)


def test_a_lora_by_key_maps_and_add_patches_is_the_same(
    model: ModelHandle, clip: TextHandle
) -> None:
    wanted, wanted_clip = sd.load_lora_for_models(model, clip, lora_tensors(), 0.7, 0.4)
    keys = lora.model_lora_keys_unet(model.model, {})
    keys = lora.model_lora_keys_clip(clip.cond_stage_model, keys)
    patches = lora.load_lora(lora_tensors(), keys)
    assert set(patches) == {KEY, TEXT_KEY}
    changed, changed_clip = model.clone(), clip.clone()
    assert changed.add_patches(patches, 0.7) == [KEY]
    assert changed_clip.add_patches(patches, 0.4) == [TEXT_KEY]
    assert torch.equal(run(changed), run(wanted))
    assert torch.equal(changed_clip.encode("a cat"), wanted_clip.encode("a cat"))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ((torch.ones(2, 2),), [[1.5, 2.5], [3.5, 4.5]]),
        (("diff", (torch.ones(2, 2),)), [[1.5, 2.5], [3.5, 4.5]]),
        (("set", (torch.ones(2, 2),)), [[1.0, 1.0], [1.0, 1.0]]),
        (("lora", (torch.ones(2, 1), torch.ones(1, 2), 2.0, None, None, None)), [[2, 3], [4, 5]]),
        ([(torch.ones(2, 2), None), (2.0, (torch.ones(2, 2),), 1.0, None, None)],
         [[2.5, 3.5], [4.5, 5.5]]),
    ],
)  # fmt: skip
def test_each_form_of_a_patch_does_what_it_says(value: object, wanted: list[list[float]]) -> None:
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    changed = lora.calculate_weight([(0.5, value, 1.0, None, None)], weight, "w")
    assert changed.tolist() == wanted
    assert weight.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_a_patch_may_act_on_a_part_of_a_weight() -> None:
    changed = lora.calculate_weight(
        [(1.0, (torch.ones(1, 2),), 1.0, (0, 1, 1), None)], torch.zeros(2, 2), "w"
    )
    assert changed.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_models_are_merged_by_key_patches(model: ModelHandle) -> None:
    other = model.clone()
    other.add_patches({KEY: (torch.ones(16, 16),)})
    merged = model.clone()
    for key, patches in other.get_key_patches("diffusion_model.").items():
        merged.add_patches({key: patches}, 0.5, 0.5)
    half = model.clone()
    half.add_patches({KEY: (torch.ones(16, 16),)}, 0.5)
    assert torch.allclose(run(merged), run(half), atol=1e-3)


def test_key_patches_have_the_names_of_the_file(model: ModelHandle) -> None:
    weight, convert = model.get_key_patches()[KEY][0]
    assert weight.shape == (16, 16) and convert(weight) is weight
    assert KEY in model.model.state_dict()


class Doubling(nn.Module):
    """A module of a pack."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False).requires_grad_(False)
        self.layer.weight.fill_(2.0)


def test_a_pack_can_patch_a_module_of_its_own() -> None:
    cpu = torch.device("cpu")
    module = Doubling()
    patcher = model_patcher.ModelPatcher(module, cpu, cpu)
    clone = patcher.clone()
    assert clone.add_patches({"layer.weight": (torch.ones(1, 1),)}) == ["layer.weight"]
    assert clone.patch_model().layer(torch.ones(1)).item() == 3.0
    clone.unpatch_model()
    assert module.layer(torch.ones(1)).item() == 2.0
    assert patcher.is_clone(clone) and patcher.model_size() == 4


def test_our_handles_are_model_patchers(model: ModelHandle) -> None:
    assert isinstance(model, model_patcher.ModelPatcher)
    assert model.load_device == torch.device("cpu") and model.model_dtype() == torch.float32
    assert model.model_size() > 0 and model.memory_required([2, 4, 8, 8]) > 0
