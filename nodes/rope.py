"""Nodes that change where a transformer takes the tokens of a picture to be."""

from __future__ import annotations

from models.protocol.flux import ROPE_OPTIONS
from models.protocol.patcher import ModelPatcher
from nodes.base import inputs
from nodes.schema import SchemaNode

_SCALE = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.1})
_SHIFT = ("FLOAT", {"default": 0.0, "min": -256.0, "max": 256.0, "step": 0.1})


class ScaleROPE(SchemaNode):
    """Scales and shifts the positions that rotary embeddings of a transformer stand for."""

    CATEGORY = "advanced/model_patches"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_rope"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL", {}),
        scale_x=_SCALE,
        shift_x=_SHIFT,
        scale_y=_SCALE,
        shift_y=_SHIFT,
        scale_t=_SCALE,
        shift_t=_SHIFT,
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, **options: float) -> tuple[ModelPatcher]:
        """x counts columns, y rows, t frames or pictures. Models without such positions stay."""
        made = model.clone()
        made.model_options["transformer_options"][ROPE_OPTIONS] = options
        return (made,)
