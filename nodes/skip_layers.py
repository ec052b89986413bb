"""Nodes that guide away from what a transformer predicts with some of its blocks skipped."""

from __future__ import annotations

from models.guidance.skipped_layers import (
    SkippedLayers,
    guided_away,
    numbers,
    with_worse_negative,
)
from models.protocol.patcher import ModelPatcher
from nodes.base import Declared, inputs
from nodes.schema import SchemaNode

_LAYERS: Declared = ("STRING", {"default": "7, 8, 9", "multiline": False})
_SCALE: Declared = ("FLOAT", {"default": 3.0, "min": 0.0, "max": 10.0, "step": 0.1})


def _percent(default: float) -> Declared:
    return "FLOAT", {"default": default, "min": 0.0, "max": 1.0, "step": 0.001}


class _SkipLayers(SchemaNode):
    """What these nodes share."""

    CATEGORY = "advanced/guidance"
    EXPERIMENTAL = True
    RETURN_TYPES = ("MODEL",)

    def skipped(
        self, model: ModelPatcher, double: str, single: str, start: float, end: float
    ) -> SkippedLayers:
        """The range of percents is of the noise levels that the model has by now."""
        sampling = model.get_model_object("model_sampling")
        return SkippedLayers(
            double=numbers(double),
            single=numbers(single),
            start_sigma=sampling.percent_to_sigma(start),
            end_sigma=sampling.percent_to_sigma(end),
        )


class SkipLayerGuidanceSD3(_SkipLayers):
    """Guides away from what Stable Diffusion 3 predicts without some of its blocks."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_sd3"
    REQUIRED = inputs(
        model=("MODEL", {}),
        layers=_LAYERS,
        scale=_SCALE,
        start_percent=_percent(0.01),
        end_percent=_percent(0.15),
    )

    def run(
        self, model: ModelPatcher, layers: str, scale: float, start_percent: float,
        end_percent: float,
    ) -> tuple[ModelPatcher]:  # fmt: skip
        """Takes one more evaluation a step in its range."""
        skipped = self.skipped(model, layers, "", start_percent, end_percent)
        return (guided_away(model, skipped, scale=scale),)


class SkipLayerGuidanceDiT(_SkipLayers):
    """Guides away from what any diffusion transformer predicts without some of its blocks."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_slg"
    REQUIRED = inputs(
        model=("MODEL", {}),
        double_layers=_LAYERS,
        single_layers=_LAYERS,
        scale=_SCALE,
        start_percent=_percent(0.01),
        end_percent=_percent(0.15),
        rescaling_scale=("FLOAT", {"default": 0.0, "min": 0.0, "max": 10.0, "step": 0.01}),
    )

    def run(
        self, model: ModelPatcher, double_layers: str, single_layers: str, scale: float,
        start_percent: float, end_percent: float, rescaling_scale: float = 0.0,
    ) -> tuple[ModelPatcher]:  # fmt: skip
        """Takes one more evaluation a step in its range."""
        skipped = self.skipped(model, double_layers, single_layers, start_percent, end_percent)
        return (guided_away(model, skipped, scale=scale, rescaling=rescaling_scale),)


class SkipLayerGuidanceDiTSimple(_SkipLayers):
    """Predicts the negative side without some of the blocks, at no cost."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_slg"
    REQUIRED = inputs(
        model=("MODEL", {}),
        double_layers=_LAYERS,
        single_layers=_LAYERS,
        start_percent=_percent(0.0),
        end_percent=_percent(1.0),
    )

    def run(
        self, model: ModelPatcher, double_layers: str, single_layers: str, start_percent: float,
        end_percent: float,
    ) -> tuple[ModelPatcher]:  # fmt: skip
        """Both sides are predicted as often as without it."""
        skipped = self.skipped(model, double_layers, single_layers, start_percent, end_percent)
        return (with_worse_negative(model, skipped),)
