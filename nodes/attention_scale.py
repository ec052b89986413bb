"""Nodes that scale the projections of attention."""

from __future__ import annotations

from models.handle import ModelHandle
from models.text.handle import TextHandle
from models.unet_patches.attention_scale import scaled_projections
from nodes.base import inputs
from nodes.missing_parts import need_text_encoder
from nodes.schema import SchemaNode

_FACTOR = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01})


class _Multiply(SchemaNode):
    CATEGORY = "_for_testing/attention_experiments"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_attention_multiply"
    EXPERIMENTAL = True


class _UNetMultiply(_Multiply):
    REQUIRED = inputs(model=("MODEL",), q=_FACTOR, k=_FACTOR, v=_FACTOR, out=_FACTOR)
    RETURN_TYPES = ("MODEL",)
    _attention = ""

    def run(
        self, model: ModelHandle, q: float, k: float, v: float, out: float
    ) -> tuple[ModelHandle]:
        """Weights and biases are multiplied."""
        ends = {"to_q": q, "to_k": k, "to_v": v, "to_out.0": out}
        factors = {f"{self._attention}.{end}": factor for end, factor in ends.items()}
        return (model.with_patches(scaled_projections(model.network.names(), factors)),)


class UNetSelfAttentionMultiply(_UNetMultiply):
    """Scales self-attention in a UNet."""

    _attention = "attn1"


class UNetCrossAttentionMultiply(_UNetMultiply):
    """Scales attention to the prompt in a UNet."""

    _attention = "attn2"


class CLIPAttentionMultiply(_Multiply):
    """Scales attention in a text encoder."""

    REQUIRED = inputs(clip=("CLIP",), q=_FACTOR, k=_FACTOR, v=_FACTOR, out=_FACTOR)
    RETURN_TYPES = ("CLIP",)

    def run(
        self, clip: TextHandle | None, q: float, k: float, v: float, out: float
    ) -> tuple[TextHandle]:
        """Weights and biases are multiplied."""
        encoder = need_text_encoder(clip)
        ends = {"q_proj": q, "k_proj": k, "v_proj": v, "out_proj": out}
        factors = {f"self_attn.{end}": factor for end, factor in ends.items()}
        return (encoder.with_patches(scaled_projections(encoder.network.names(), factors)),)
