"""Nodes that scale the projections of attention."""

from __future__ import annotations

from models.handle import ModelHandle
from models.text.handle import TextHandle
from models.unet_patches.attention_scale import scaled_projections
from nodes.base import inputs
from nodes.missing_parts import need_text_encoder
from nodes.schema import SchemaNode

# What temporal transformers are called: in the original, and in diffusers.
_TEMPORAL = (".time_stack.", ".temporal_transformer_blocks.")

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


class UNetTemporalAttentionMultiply(_Multiply):
    """Scales what attention within pictures, and between those of a film, adds in a UNet."""

    REQUIRED = inputs(
        model=("MODEL", {}),
        self_structural=_FACTOR,
        self_temporal=_FACTOR,
        cross_structural=_FACTOR,
        cross_temporal=_FACTOR,
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self,
        model: ModelHandle,
        self_structural: float,
        self_temporal: float,
        cross_structural: float,
        cross_temporal: float,
    ) -> tuple[ModelHandle]:
        """UNets for single pictures have no temporal attention."""
        names = model.network.names()
        temporal = [name for name in names if any(part in name for part in _TEMPORAL)]
        structural = set(names).difference(temporal)
        inside = {"attn1.to_out.0": self_structural, "attn2.to_out.0": cross_structural}
        between = {"attn1.to_out.0": self_temporal, "attn2.to_out.0": cross_temporal}
        patches = scaled_projections(structural, inside) | scaled_projections(temporal, between)
        return (model.with_patches(patches),)


class CLIPAttentionMultiply(_Multiply):
    """Scales attention in the CLIP encoders of a prompt."""

    REQUIRED = inputs(clip=("CLIP",), q=_FACTOR, k=_FACTOR, v=_FACTOR, out=_FACTOR)
    RETURN_TYPES = ("CLIP",)

    def run(
        self, clip: TextHandle | None, q: float, k: float, v: float, out: float
    ) -> tuple[TextHandle]:
        """Weights and biases are multiplied."""
        encoder = need_text_encoder(clip)
        ends = {"q_proj": q, "k_proj": k, "v_proj": v, "out_proj": out}
        factors = {f"self_attn.{end}": factor for end, factor in ends.items()}
        patches = {
            key: scaled_projections(one.network.names(), factors)
            for key, one in encoder.encoders.items()
        }
        return (encoder.with_patches(patches),)
