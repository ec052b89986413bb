"""DINOv2 against that of transformers, which is built otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from models.errors import UnsupportedLayout
from models.geometry.reference_views import first, in_order_again, reference_view
from models.geometry.transformer import Transformer, TransformerShape, standardised
from models.geometry.transformer_files import transformer_shape
from models.weights import Weights
from tests.models.geometry.seeded import drawn, picture, weights

SHAPE = TransformerShape(width=128, blocks=3, hidden=256, grid=5)


def _filled(shape: TransformerShape) -> Transformer:
    network = Transformer(shape).eval()
    network.load_state_dict(weights({k: v.shape for k, v in network.state_dict().items()}))
    return network


def _theirs(network: Transformer) -> dict[str, Tensor]:
    """The weights under the names of transformers."""
    ours = network.state_dict()
    width = network.shape.width
    named = {
        "embeddings.cls_token": ours["cls_token"],
        "embeddings.mask_token": torch.zeros(1, width),
        "embeddings.position_embeddings": ours["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": ours["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": ours["patch_embed.proj.bias"],
        "layernorm.weight": ours["norm.weight"],
        "layernorm.bias": ours["norm.bias"],
    }
    if network.shape.registers:
        named["embeddings.register_tokens"] = ours["register_tokens"]
    for i in range(network.shape.blocks):
        block, layer = f"blocks.{i}", f"encoder.layer.{i}"
        named[f"{layer}.layer_scale1.lambda1"] = ours[f"{block}.ls1.gamma"]
        named[f"{layer}.layer_scale2.lambda1"] = ours[f"{block}.ls2.gamma"]
        for kind in ("weight", "bias"):
            query_key_value = ours[f"{block}.attn.qkv.{kind}"].chunk(3)
            for part, value in zip("qkv", query_key_value, strict=True):
                named[f"{layer}.attention.{part}_proj.{kind}"] = value
            named[f"{layer}.attention.o_proj.{kind}"] = ours[f"{block}.attn.proj.{kind}"]
            for norm in ("norm1", "norm2"):
                named[f"{layer}.{norm}.{kind}"] = ours[f"{block}.{norm}.{kind}"]
            if network.shape.is_gated:
                gate, up = ours[f"{block}.mlp.w12.{kind}"].chunk(2)
                inner = {
                    "gate_proj": gate,
                    "up_proj": up,
                    "down_proj": ours[f"{block}.mlp.w3.{kind}"],
                }
            else:
                inner = {name: ours[f"{block}.mlp.{name}.{kind}"] for name in ("fc1", "fc2")}
            for name, value in inner.items():
                named[f"{layer}.mlp.{name}.{kind}"] = value
    return named


@pytest.mark.parametrize(
    ("is_gated", "hidden", "registers"), [(False, 256, 0), (True, 176, 0), (False, 256, 4)]
)
def test_blocks_say_what_those_of_transformers_say(
    is_gated: bool, hidden: int, registers: int
) -> None:
    shape = TransformerShape(
        width=128, blocks=3, hidden=hidden, grid=5, is_gated=is_gated, registers=registers
    )
    network = _filled(shape)
    options = {
        "hidden_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "image_size": 70,
        "patch_size": 14,
        "use_swiglu_ffn": is_gated,
    }
    other: torch.nn.Module
    if registers:
        config = Dinov2WithRegistersConfig(**options, num_register_tokens=registers)
        other = Dinov2WithRegistersModel(config).eval()
    else:
        other = Dinov2Model(Dinov2Config(**options)).eval()
    other.load_state_dict(_theirs(network))
    pixels = standardised(picture(2, 70, 70))
    with torch.no_grad():
        found = network(pixels[:, None], [0, 2])
        wanted = other(pixel_values=pixels, output_hidden_states=True)
    for hidden_tokens, number in zip(found, (1, 3), strict=True):
        states = wanted.hidden_states[number]
        states = torch.cat((states[:, :1], states[:, 1 + registers :]), dim=1)
        torch.testing.assert_close(hidden_tokens.joint[:, 0], states, atol=1e-4, rtol=1e-4)


def test_the_shape_of_a_network_is_that_of_its_tensors() -> None:
    shape = TransformerShape(
        width=128, blocks=4, hidden=176, grid=5, is_gated=True, registers=2, joint_from=2
    )
    tensors = dict(Transformer(shape).state_dict())
    assert transformer_shape(Weights(path=Path("f"), tensors=tensors)) == shape


def test_networks_of_other_patches_are_refused() -> None:
    tensors = dict(Transformer(SHAPE).state_dict())
    tensors["patch_embed.proj.weight"] = torch.ones(128, 3, 16, 16)
    with pytest.raises(UnsupportedLayout, match="no DINOv2"):
        transformer_shape(Weights(path=Path("f"), tensors=tensors))


def test_views_come_back_in_their_order() -> None:
    tokens = drawn("views", (2, 5, 3))
    chosen = torch.tensor([3, 0])
    moved = first(tokens, chosen)
    assert (moved[0] == tokens[0, [3, 0, 1, 2, 4]]).all()
    assert (moved[1] == tokens[1]).all()
    assert (in_order_again(moved, chosen) == tokens).all()


def test_the_reference_is_what_the_strategy_says() -> None:
    summaries = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.8, 0.6]]])
    assert reference_view(summaries, "first").tolist() == [0]
    assert reference_view(summaries, "middle").tolist() == [2]
    # The likeness of a view to others goes from 0 to 0.8 for the first two, further than for the
    # last two, from 0.6 and less 1 for itself.
    ranges = []
    for i in range(4):
        directions = summaries[0]
        likeness = directions @ directions[i] - torch.eye(4)[i]
        ranges.append(float(likeness.max() - likeness.min()))
    assert reference_view(summaries, "saddle_sim_range").tolist() == [ranges.index(max(ranges))]
