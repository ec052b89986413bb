"""Saving, merging and loading models by nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from executor.folders import Folders
from models.devices import HOME
from models.errors import InvalidInput
from models.load import Checkpoint, load_checkpoint, unet_of
from models.lora import load_lora
from models.memory import Policy
from models.text.handle import TextHandle
from models.weights import Weights
from nodes.attention_scale import UNetCrossAttentionMultiply
from nodes.layered_merging import ModelMergeSD1
from nodes.loaders import CheckpointLoaderSimple, LoraLoader, LoraLoaderModelOnly, VAELoader
from nodes.model_merging import (
    CLIPMergeAdd,
    CLIPMergeSimple,
    CLIPMergeSubtract,
    ModelMergeAdd,
    ModelMergeBlocks,
    ModelMergeSimple,
    ModelMergeSubtract,
)
from nodes.model_saving import CheckpointSave, CLIPSave, LoraSave, ModelSave, VAESave
from nodes.part_loaders import UNETLoader
from nodes.text_loaders import CLIPLoader
from tests.models.conftest import policy, tiny, tiny_file
from tests.models.tiny import TinyModel, save
from tests.nodes.context import node_context

__all__ = ["policy", "tiny", "tiny_file"]

LAYER = "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
TEXT = "encoder.layers.0.mlp.fc1.weight"


@pytest.fixture
def folders(tmp_path: Path, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy) as made:
        yield made


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> Checkpoint:
    """A model of the same shapes with other weights."""
    model = TinyModel()
    tensors = {k: (v.float() * 0.5 + 0.01).half() for k, v in model.tensors().items()}
    path = save(tmp_path_factory.mktemp("other") / "o.safetensors", tensors, model.config)
    return load_checkpoint(path, policy)


def merged(model: object, name: str = LAYER) -> Tensor:
    """A weight of the diffusion model with its patches, by its original name."""
    network = model.network  # type: ignore[attr-defined]
    inner = next(n for n in network.names() if network.original(n) == name)
    weight: Tensor = network.merged(inner, model.patches.get(inner, ()))  # type: ignore[attr-defined]
    return weight.float()


def test_models_are_mixed_by_their_names(tiny: Checkpoint, other: Checkpoint) -> None:
    a, b = merged(tiny.model), merged(other.model)
    (mixed,) = ModelMergeSimple().run(tiny.model, other.model, 0.25)
    assert torch.allclose(merged(mixed), 0.25 * a + 0.75 * b, atol=1e-3)
    (blocks,) = ModelMergeBlocks().run(tiny.model, other.model, input=0.0, middle=1.0, out=0.5)
    assert torch.allclose(merged(blocks), b, atol=1e-3)
    middle = "middle_block.0.in_layers.2.weight"
    assert torch.allclose(merged(blocks, middle), merged(tiny.model, middle), atol=1e-3)
    ratios = dict.fromkeys(list(ModelMergeSD1.REQUIRED)[2:], 1.0)
    (own,) = ModelMergeSD1().run(tiny.model, other.model, **(ratios | {"input_blocks.1.": 0.0}))
    assert torch.allclose(merged(own), b, atol=1e-3)
    assert torch.allclose(merged(own, middle), merged(tiny.model, middle), atol=1e-3)


def test_a_difference_that_is_added_again_gives_the_model(
    tiny: Checkpoint, other: Checkpoint
) -> None:
    (difference,) = ModelMergeSubtract().run(other.model, tiny.model, 1.0)
    (again,) = ModelMergeAdd().run(tiny.model, difference)
    assert torch.allclose(merged(again), merged(other.model), atol=2e-3)


def merged_text(text: TextHandle) -> Tensor:
    encoder = text.encoders["l"]
    return encoder.network.merged(TEXT, encoder.patches.get(TEXT, ())).float()


def test_models_of_different_shapes_are_not_mixed(tiny: Checkpoint, policy: Policy) -> None:
    wide = TinyModel(channels=(32, 64))
    metadata = {"darkroom.config": json.dumps(wide.config)}
    other = unet_of(Weights(path=Path("u"), tensors=wide.unet(), metadata=metadata), policy)
    (mixed,) = ModelMergeSimple().run(tiny.model, other, 0.5)
    noise = torch.zeros(1, 4, 8, 8)
    with pytest.raises(InvalidInput, match="merged must be of one family"):
        mixed.denoised(noise, torch.ones(1), torch.zeros(1, 77, wide.context))


def test_text_encoders_are_mixed(tiny: Checkpoint, other: Checkpoint) -> None:
    assert tiny.text is not None and other.text is not None
    a, b = (
        c.text.encoders["l"].network.stored(TEXT).float()
        for c in (tiny, other)
        if c.text is not None
    )
    (mixed,) = CLIPMergeSimple().run(tiny.text, other.text, 0.25)
    assert torch.allclose(merged_text(mixed), 0.25 * a + 0.75 * b, atol=1e-3)
    (difference,) = CLIPMergeSubtract().run(other.text, tiny.text, 1.0)
    (again,) = CLIPMergeAdd().run(tiny.text, difference)
    assert torch.allclose(merged_text(again), b, atol=2e-3)


def test_a_saved_checkpoint_has_the_keys_of_the_original(
    folders: Folders, tiny: Checkpoint, tiny_file: Path
) -> None:
    prompt = {"1": {"class_type": "CheckpointSave", "inputs": {}}}
    CheckpointSave().run(tiny.model, tiny.text, tiny.vae, "checkpoints/x", prompt=prompt)
    path = folders.output / "checkpoints" / "x_00001_.safetensors"
    with safe_open(path, "pt") as saved, safe_open(tiny_file, "pt") as original:
        names = set(original.keys())
        assert set(saved.keys()) == names
        for name in names:
            assert torch.equal(saved.get_tensor(name), original.get_tensor(name)), name
        assert json.loads(saved.metadata()["prompt"]) == prompt
        assert saved.metadata()["modelspec.predict_key"] == "epsilon"
    model, text, vae = CheckpointLoaderSimple().run("x_00001_.safetensors")
    assert model.network.names() == tiny.model.network.names()
    assert text is not None and vae is not None


def test_parts_that_were_saved_load_again(folders: Folders, tiny: Checkpoint) -> None:
    assert tiny.text is not None and tiny.vae is not None
    ModelSave().run(tiny.model, "diffusion_models/m")
    CLIPSave().run(tiny.text, "clip/c")
    VAESave().run(tiny.vae, "vae/v")
    (model,) = UNETLoader().run("m_00001_.safetensors", "default")
    (text,) = CLIPLoader().run("c_clip_l_00001_.safetensors", "stable_diffusion")
    (vae,) = VAELoader().run("v_00001_.safetensors")
    assert torch.equal(merged(model), merged(tiny.model))
    expected = tiny.text.encode_text("a cat")[0][0]
    assert torch.allclose(text.encode_text("a cat")[0][0], expected, atol=1e-5)
    latent = torch.rand(1, 4, 2, 2)
    assert torch.allclose(vae.decode(latent), tiny.vae.decode(latent), atol=1e-5)


def test_weights_go_through_float8(folders: Folders, tiny: Checkpoint) -> None:
    ModelSave().run(tiny.model, "diffusion_models/m")
    (model,) = UNETLoader().run("m_00001_.safetensors", "fp8_e4m3fn")
    model.network.place(HOME)
    weight = next(
        p for n, p in model.network.module.named_parameters() if n.endswith("to_q.weight")
    )
    assert torch.equal(weight, weight.to(torch.float8_e4m3fn).float())


@pytest.mark.parametrize("kind", ["standard", "full_diff"])
def test_an_extracted_lora_gives_the_difference_again(
    kind: str, folders: Folders, tiny: Checkpoint, other: Checkpoint
) -> None:
    assert tiny.text is not None and other.text is not None
    (model,) = ModelMergeSubtract().run(other.model, tiny.model, 1.0)
    (text,) = CLIPMergeSubtract().run(other.text, tiny.text, 1.0)
    LoraSave().run("loras/l", 64, kind, True, model, text)
    lora = load_lora(folders.output / "loras" / "l_00001_.safetensors")
    assert len(lora.groups) > 20
    changed, text_changed = LoraLoader().run(
        tiny.model, tiny.text, "l_00001_.safetensors", 1.0, 1.0
    )
    assert torch.allclose(merged(changed), merged(other.model), atol=5e-3)
    assert not torch.allclose(merged(tiny.model), merged(other.model), atol=5e-2)
    assert text_changed is not None and text_changed.encoders["l"].patches
    (only,) = LoraLoaderModelOnly().run(tiny.model, "l_00001_.safetensors", 1.0)
    assert torch.equal(merged(only), merged(changed))


def test_only_a_difference_becomes_a_lora(
    folders: Folders, tiny: Checkpoint, other: Checkpoint
) -> None:
    (scaled,) = UNetCrossAttentionMultiply().run(tiny.model, 1.0, 1.0, 1.0, 1.5)
    with pytest.raises(InvalidInput, match="ModelMergeSubtract"):
        LoraSave().run("loras/l", 4, "standard", True, scaled)
    (difference,) = ModelMergeSubtract().run(scaled, tiny.model, 1.0)
    LoraSave().run("loras/l", 16, "standard", True, difference)
    lora = load_lora(folders.output / "loras" / "l_00001_.safetensors")
    assert lora.groups and all(".attn2.to_out.0" in name for name in lora.groups)
