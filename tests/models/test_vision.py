"""Image encoders, style models and hypernetworks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from executor.folders import Folders
from models.errors import CheckpointUnreadable, PartMissing, UnsupportedLayout
from models.hypernetwork import load_hypernetwork
from models.load import Checkpoint
from models.memory import Policy
from models.style import load_style_model
from models.vision import clip_pixels, load_vision
from nodes.part_loaders import CLIPVisionEncode, CLIPVisionLoader, HypernetworkLoader
from tests.models.conftest import policy, tiny, tiny_file
from tests.nodes.context import node_context

__all__ = ["policy", "tiny", "tiny_file"]

METADATA = {"darkroom.config": json.dumps({"image_encoder": {"num_attention_heads": 2}})}


@pytest.fixture(scope="module")
def encoder() -> CLIPVisionModelWithProjection:
    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
        image_size=32, patch_size=8, projection_dim=12,
    )  # fmt: skip
    return CLIPVisionModelWithProjection(config).eval()


@pytest.fixture
def folders(tmp_path: Path, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy) as made:
        yield made


def open_clip_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same encoder in the layout of OpenCLIP."""
    made = {"visual.proj": tensors["visual_projection.weight"].T.contiguous()}
    top = "vision_model."
    made["visual.class_embedding"] = tensors[f"{top}embeddings.class_embedding"]
    made["visual.conv1.weight"] = tensors[f"{top}embeddings.patch_embedding.weight"]
    made["visual.positional_embedding"] = tensors[f"{top}embeddings.position_embedding.weight"]
    for kind in ("weight", "bias"):
        made[f"visual.ln_pre.{kind}"] = tensors[f"{top}pre_layrnorm.{kind}"]
        made[f"visual.ln_post.{kind}"] = tensors[f"{top}post_layernorm.{kind}"]
        for index in range(3):
            ours = f"{top}encoder.layers.{index}"
            theirs = f"visual.transformer.resblocks.{index}"
            parts = [tensors[f"{ours}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            made[f"{theirs}.attn.in_proj_{kind}"] = torch.cat(parts)
            made[f"{theirs}.attn.out_proj.{kind}"] = tensors[f"{ours}.self_attn.out_proj.{kind}"]
            for a, b in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2")):
                made[f"{theirs}.{a}.{kind}"] = tensors[f"{ours}.{b}.{kind}"]
            for a, b in (("c_fc", "fc1"), ("c_proj", "fc2")):
                made[f"{theirs}.mlp.{a}.{kind}"] = tensors[f"{ours}.mlp.{b}.{kind}"]
    return made


@pytest.mark.parametrize("layout", ["transformers", "open_clip"])
def test_an_image_encoder_says_what_that_of_transformers_does(
    layout: str, encoder: CLIPVisionModelWithProjection, folders: Folders
) -> None:
    tensors = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    if layout == "open_clip":
        tensors = open_clip_names(tensors)
    save_file(tensors, folders.models_root / "clip_vision" / "v.safetensors", METADATA)
    (vision,) = CLIPVisionLoader().run("v.safetensors")
    picture = torch.rand(2, 40, 64, 3)
    (said,) = CLIPVisionEncode().run(vision, picture, "center")
    with torch.no_grad():
        expected = encoder(clip_pixels(picture, 32, crop=True), output_hidden_states=True)
    assert torch.allclose(said.image_embeds, expected.image_embeds, atol=1e-5)
    assert torch.allclose(said["last_hidden_state"], expected.last_hidden_state, atol=1e-5)
    second_last = expected.hidden_states[-2]
    assert torch.allclose(said.penultimate_hidden_states, second_last, atol=1e-5)
    assert said.image_sizes == [(40, 64, 3)] * 2
    (squeezed,) = CLIPVisionEncode().run(vision, picture, "none")
    assert not torch.allclose(squeezed.image_embeds, said.image_embeds, atol=1e-3)
    with pytest.raises(AttributeError):
        _ = said.no_such_thing


def test_files_without_an_image_encoder_are_refused(tmp_path: Path, policy: Policy) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(PartMissing, match="image encoder"):
        load_vision(tmp_path / "x.safetensors", policy)
    with pytest.raises(PartMissing, match="style model"):
        load_style_model(tmp_path / "x.safetensors")


def test_a_style_model_attends_as_torch_does(tmp_path: Path) -> None:
    torch.manual_seed(2)
    width, tokens = 16, 4
    layer = nn.TransformerEncoderLayer(
        width, 8, 4 * width, activation=lambda x: x * torch.sigmoid(1.702 * x),
        batch_first=True, norm_first=True,
    ).eval()  # fmt: skip
    pre, post = nn.LayerNorm(width), nn.LayerNorm(width)
    style, projection = torch.randn(1, tokens, width), torch.randn(width, 6)
    renamed = {
        "self_attn.in_proj_weight": "attn.in_proj_weight",
        "self_attn.in_proj_bias": "attn.in_proj_bias",
        "self_attn.out_proj": "attn.out_proj",
        "linear1": "mlp.c_fc",
        "linear2": "mlp.c_proj",
        "norm1": "ln_1",
        "norm2": "ln_2",
    }
    tensors = {"style_embedding": style, "proj": projection}
    for name, tensor in layer.state_dict().items():
        for ours, theirs in renamed.items():
            if name.startswith(ours):
                tensors[f"transformer_layes.0.{theirs}{name.removeprefix(ours)}"] = tensor.clone()
    for name, norm in (("ln_pre", pre), ("ln_post", post)):
        tensors |= {f"{name}.{k}": v.clone() for k, v in norm.state_dict().items()}
    save_file(tensors, tmp_path / "s.safetensors")
    seen = torch.randn(2, 5, width)
    with torch.no_grad():
        hidden = layer(pre(torch.cat([seen, style.expand(2, -1, -1)], dim=1)))
        expected = post(hidden[:, -tokens:]) @ projection
    model = load_style_model(tmp_path / "s.safetensors")
    assert torch.allclose(model.get_cond({"last_hidden_state": seen}), expected, atol=1e-5)


def test_redux_is_two_layers(tmp_path: Path) -> None:
    up, down = nn.Linear(4, 9), nn.Linear(9, 3)
    layers = {"redux_up": up, "redux_down": down}
    tensors = {f"{n}.{k}": v.clone() for n, m in layers.items() for k, v in m.state_dict().items()}
    save_file(tensors, tmp_path / "r.safetensors")
    seen = torch.randn(1, 2, 4)
    made = load_style_model(tmp_path / "r.safetensors").get_cond({"last_hidden_state": seen})
    with torch.no_grad():
        assert torch.allclose(made, down(nn.functional.silu(up(seen))), atol=1e-6)


def hypernetwork_file(folder: Path, **said: Any) -> tuple[nn.Sequential, nn.Sequential]:
    """Write a hypernetwork for the width 16; its parts for keys and values."""
    torch.manual_seed(3)

    def made() -> nn.Sequential:
        return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.LayerNorm(32), nn.Linear(32, 16))

    keys, values = made(), made()
    pair = tuple(
        {f"linear.{name}": tensor for name, tensor in part.state_dict().items()}
        for part in (keys, values)
    )
    document: dict[Any, Any] = {16: pair, "activation_func": "relu"}
    torch.save(document | said, folder / "h.pt")
    return keys, values


def test_a_hypernetwork_adds_to_keys_and_values(tmp_path: Path) -> None:
    keys, values = hypernetwork_file(tmp_path)
    patch = load_hypernetwork(tmp_path / "h.pt").as_patch(0.5)
    q, k, v = (torch.randn(1, 3, 16) for _ in range(3))
    with torch.no_grad():
        changed = patch(q, k, v, {})
        assert torch.equal(changed[0], q)
        assert torch.allclose(changed[1], k + 0.5 * keys(k), atol=1e-6)
        assert torch.allclose(changed[2], v + 0.5 * values(v), atol=1e-6)
    wide = torch.randn(1, 3, 20)
    assert patch(q, wide, wide, {}) == (q, wide, wide)


def test_a_hypernetwork_changes_a_run(folders: Folders, tiny: Checkpoint) -> None:
    hypernetwork_file(folders.models_root / "hypernetworks")
    (model,) = HypernetworkLoader().run(tiny.model, "h.pt", 1.0)
    assert model.is_customised and not tiny.model.is_customised
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([1.0])
    context = torch.randn(1, 4, 16)
    with torch.no_grad():
        options = model.model_options["transformer_options"]
        changed = model.model.apply_model(x, t, c_crossattn=context, transformer_options=options)
        plain = model.model.apply_model(x, t, c_crossattn=context)
    assert not torch.allclose(changed, plain, atol=1e-3)


def test_other_files_are_no_hypernetworks(tmp_path: Path) -> None:
    hypernetwork_file(tmp_path, activation_func="magic")
    with pytest.raises(UnsupportedLayout, match="magic"):
        load_hypernetwork(tmp_path / "h.pt")
    torch.save({"name": "x"}, tmp_path / "h.pt")
    with pytest.raises(CheckpointUnreadable, match="no hypernetwork"):
        load_hypernetwork(tmp_path / "h.pt")
    torch.save({16: ({"y": torch.zeros(1)},) * 2}, tmp_path / "h.pt")
    with pytest.raises(CheckpointUnreadable, match="malformed"):
        load_hypernetwork(tmp_path / "h.pt")
