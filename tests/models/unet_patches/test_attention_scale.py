"""Projections of attention, scaled."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from models.load import Checkpoint
from models.unet_patches.attention_scale import ScaledWeight, scaled_projections
from nodes.attention_scale import (
    CLIPAttentionMultiply,
    UNetCrossAttentionMultiply,
    UNetSelfAttentionMultiply,
    UNetTemporalAttentionMultiply,
)
from tests.models.conftest import policy, tiny, tiny_file

__all__ = ["policy", "tiny", "tiny_file"]


def test_weights_and_biases_of_the_named_layers_are_scaled() -> None:
    names = ["a.attn1.to_q.weight", "a.attn2.to_q.weight", "a.attn1.to_out.0.bias", "attn1.norm"]
    found = scaled_projections(names, {"attn1.to_q": 2.0, "attn1.to_out.0": 3.0})
    assert {name: patch.factor for name, [patch] in found.items()} == {
        "a.attn1.to_q.weight": 2.0, "a.attn1.to_out.0.bias": 3.0,
    }  # fmt: skip
    assert torch.equal(found["a.attn1.to_q.weight"][0].apply(torch.ones(2)), torch.full((2,), 2.0))


def test_the_nodes_scale_their_kind_of_attention_only(tiny: Checkpoint) -> None:
    for node, kind in ((UNetSelfAttentionMultiply, "attn1"), (UNetCrossAttentionMultiply, "attn2")):
        (model,) = node().run(tiny.model, 1.5, 1.5, 1.5, 1.5)
        layers = {name.rpartition(".")[0] for name in model.patches}
        assert layers and all(f".{kind}." in layer for layer in layers)
        assert {layer.partition(f"{kind}.")[2] for layer in layers} == {
            "to_q", "to_k", "to_v", "to_out.0",
        }  # fmt: skip


class Film:
    """A model of which only the names of weights are asked."""

    network = SimpleNamespace(
        names=lambda: [
            f"{place}.{attention}.to_out.0.weight"
            for place in ("down.attentions.0", "down.attentions.0.temporal_transformer_blocks.0")
            for attention in ("attn1", "attn2")
        ]
    )

    def with_patches(self, patches: dict[str, list[ScaledWeight]]) -> dict[str, float]:
        return {name: patch.factor for name, [patch] in patches.items()}


def test_attention_between_pictures_is_told_from_that_inside() -> None:
    (found,) = UNetTemporalAttentionMultiply().run(Film(), 1.0, 2.0, 3.0, 4.0)  # type: ignore[arg-type]
    inside, between = "down.attentions.0", "down.attentions.0.temporal_transformer_blocks.0"
    assert found == {  # type: ignore[comparison-overlap]
        f"{inside}.attn1.to_out.0.weight": 1.0, f"{between}.attn1.to_out.0.weight": 2.0,
        f"{inside}.attn2.to_out.0.weight": 3.0, f"{between}.attn2.to_out.0.weight": 4.0,
    }  # fmt: skip


def test_attention_of_a_text_encoder_is_scaled(tiny: Checkpoint) -> None:
    assert tiny.text is not None
    (silent,) = CLIPAttentionMultiply().run(tiny.text, 1.0, 1.0, 0.0, 1.0)
    plain, changed = (clip.encode_text("a fox")[0][0] for clip in (tiny.text, silent))
    assert not torch.allclose(plain, changed, atol=1e-3)
    assert torch.equal(plain, tiny.text.encode_text("a fox")[0][0])
