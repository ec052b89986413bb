from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import SD3Transformer2DModel
from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers
from torch import Tensor

from models.errors import CheckpointUnreadable, UnsupportedLayout
from models.families.mmdit import build_mmdit, mmdit_config
from models.handle import ModelHandle
from models.load import load_checkpoint, unet_of
from models.memory import Policy
from models.weights import Weights, open_weights
from tests.models import tiny_sd3
from tests.models.tiny import save
from tests.models.tiny_sd3 import CONFIG, MEDIUM_35, STATED

# What the published networks say of themselves.
MEDIUM: dict[str, Any] = {
    "patch_size": 2,
    "in_channels": 16,
    "out_channels": 16,
    "num_layers": 24,
    "num_attention_heads": 24,
    "attention_head_dim": 64,
    "joint_attention_dim": 4096,
    "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048,
    "pos_embed_max_size": 192,
    "dual_attention_layers": (),
    "qk_norm": None,
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "3 medium": MEDIUM,
    "3.5 medium": MEDIUM
    | {
        "pos_embed_max_size": 384,
        "dual_attention_layers": tuple(range(13)),
        "qk_norm": "rms_norm",
    },
    "3.5 large": MEDIUM
    | {
        "num_layers": 38,
        "num_attention_heads": 38,
        "caption_projection_dim": 2432,
        "qk_norm": "rms_norm",
    },
}


def weights(tensors: dict[str, Tensor]) -> Weights:
    return Weights(path=Path("tiny"), tensors=tensors)


def said(model: ModelHandle, given: dict[str, Tensor]) -> Tensor:
    output: Tensor = model.model.diffusion_model(**given)
    return output


def layouts(config: dict[str, Any], folder: Path) -> list[Path]:
    module = tiny_sd3.transformer(config)
    diffusers = tiny_sd3.diffusers_tensors(module)
    piped = {f"transformer.{name}": tensor for name, tensor in diffusers.items()}
    return [
        tiny_sd3.save_transformer(folder / "bare.safetensors", module),
        tiny_sd3.save_transformer(folder / "whole.safetensors", module, "model.diffusion_model."),
        save(folder / "diffusers.safetensors", diffusers, STATED),
        save(folder / "pipeline.safetensors", piped, STATED),
    ]


@pytest.mark.parametrize("config", [CONFIG, MEDIUM_35], ids=["3", "3.5"])
def test_files_of_every_layout_are_the_network_that_diffusers_evaluates(
    config: dict[str, Any], tmp_path: Path, policy: Policy
) -> None:
    given = tiny_sd3.inputs()
    expected = tiny_sd3.evaluated(tiny_sd3.transformer(config), given)
    for path in layouts(config, tmp_path):
        model = unet_of(open_weights(path), policy)
        assert model.family.name == "sd3"
        assert torch.allclose(said(model, given), expected, atol=1e-5), path.name


@pytest.mark.parametrize("config", [CONFIG, MEDIUM_35], ids=["3", "3.5"])
def test_the_original_layout_is_what_diffusers_converts_from(config: dict[str, Any]) -> None:
    module = tiny_sd3.transformer(config)
    wanted = tiny_sd3.diffusers_tensors(module)
    found = convert_sd3_transformer_checkpoint_to_diffusers(tiny_sd3.original_tensors(module))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_the_configuration_comes_from_shapes() -> None:
    module = tiny_sd3.transformer(MEDIUM_35)
    stated = Weights(
        path=Path("tiny"),
        tensors=tiny_sd3.original_tensors(module),
        metadata={"darkroom.config": '{"unet": {"num_attention_heads": 2}}'},
    )
    found = mmdit_config(stated)
    assert {name: found[name] for name in MEDIUM_35} == MEDIUM_35


def test_heads_have_a_width_of_64_unless_a_file_says_otherwise() -> None:
    wide = CONFIG | {"attention_head_dim": 64, "num_layers": 1, "caption_projection_dim": 128}
    tensors = tiny_sd3.original_tensors(tiny_sd3.transformer(wide))
    assert mmdit_config(weights(tensors))["num_attention_heads"] == 2


@pytest.mark.parametrize("name", PUBLISHED)
def test_shapes_of_published_networks_give_their_configuration(name: str) -> None:
    with torch.device("meta"):
        module = SD3Transformer2DModel(**PUBLISHED[name])
    tensors = tiny_sd3.original_tensors(module)
    found = mmdit_config(weights(tensors))
    assert {option: found[option] for option in PUBLISHED[name]} == PUBLISHED[name]
    network = build_mmdit(weights(tensors), torch.float16)
    assert network is not None
    assert set(network.names()) == set(tensors)


def test_weights_keep_their_original_names(tmp_path: Path, policy: Policy) -> None:
    module = tiny_sd3.transformer(CONFIG)
    path = tiny_sd3.save_transformer(tmp_path / "a.safetensors", module)
    model = unet_of(open_weights(path), policy)
    name = "diffusion_model.joint_blocks.1.x_block.attn.qkv.weight"
    stored = model.model_state_dict()
    assert stored.keys() == {f"diffusion_model.{n}" for n in tiny_sd3.original_tensors(module)}
    assert stored[name].shape == (48, 16)


def test_a_checkpoint_may_hold_the_transformer_alone(tmp_path: Path, policy: Policy) -> None:
    path = tiny_sd3.save_transformer(
        tmp_path / "a.safetensors", tiny_sd3.transformer(CONFIG), "model.diffusion_model."
    )
    loaded = load_checkpoint(path, policy)
    assert loaded.text is None and loaded.vae is None
    assert loaded.model.latent_format.latent_channels == 16


def test_other_files_hold_no_transformer(tiny_file: Path) -> None:
    assert build_mmdit(open_weights(tiny_file), torch.float32) is None


@pytest.mark.parametrize("name", ["joint_blocks.1.x_block.mlp.fc2.bias", "pos_embed"])
def test_a_missing_tensor_is_named(name: str) -> None:
    tensors = tiny_sd3.original_tensors(tiny_sd3.transformer(CONFIG))
    del tensors[name]
    with pytest.raises(CheckpointUnreadable, match=name.replace(".", r"\.")):
        build_mmdit(weights(tensors), torch.float32)


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("pos_embed", torch.zeros(1, 60, 16), "60 positions is not square"),
        ("context_embedder.weight", torch.zeros(4), "has 1 axes instead of 2"),
    ],
)
def test_shapes_that_make_no_network_are_refused(name: str, tensor: Tensor, reason: str) -> None:
    tensors = tiny_sd3.original_tensors(tiny_sd3.transformer(CONFIG)) | {name: tensor}
    with pytest.raises(UnsupportedLayout, match=reason):
        build_mmdit(weights(tensors), torch.float32)
