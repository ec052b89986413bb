"""Nodes that merge the weights of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from models.handle import ModelHandle
from models.text.handle import TextHandle
from nodes.base import Inputs, Node, inputs

_RATIO = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01})
_MULTIPLIER = ("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01})
_CATEGORY: Final = "advanced/model_merging"
_MODULE: Final = "comfy_extras.nodes_model_merging"
_OF_TEXT: Final = (".position_ids", ".logit_scale")  # no weights of layers


def _ratio_of(name: str, ratios: Mapping[str, float]) -> float:
    """The ratio of the longest prefix that a weight's name begins with, else the first one."""
    fitting = [prefix for prefix in ratios if name.startswith(prefix)]
    return ratios[max(fitting, key=len)] if fitting else next(iter(ratios.values()))


def _mixed(one: Any, other: Any, weights: Callable[[str], tuple[float, float]], prefix: str) -> Any:
    """A clone of `one` with the other's weights added; both factors depend on the name."""
    by_factors: dict[tuple[float, float], dict[str, Any]] = {}
    for name, value in other.get_key_patches().items():
        if name.startswith(prefix) and not name.endswith(_OF_TEXT):
            by_factors.setdefault(weights(name), {})[name] = value
    made = one.clone()
    for (factor, own), values in by_factors.items():
        made.add_patches(values, factor, own)
    return made


class ModelMergeSimple(Node):
    """Mixes two diffusion models."""

    CATEGORY = _CATEGORY
    RELATIVE_PYTHON_MODULE = _MODULE
    REQUIRED = inputs(model1=("MODEL",), model2=("MODEL",), ratio=_RATIO)
    RETURN_TYPES = ("MODEL",)

    def run(self, model1: ModelHandle, model2: ModelHandle, ratio: float) -> tuple[ModelHandle]:
        """The ratio is the first one's part."""
        return (_mixed(model1, model2, lambda _: (1.0 - ratio, ratio), "diffusion_model."),)


class ModelMergeAdd(Node):
    """Adds the weights of two diffusion models."""

    CATEGORY = _CATEGORY
    RELATIVE_PYTHON_MODULE = _MODULE
    REQUIRED = inputs(model1=("MODEL",), model2=("MODEL",))
    RETURN_TYPES = ("MODEL",)

    def run(self, model1: ModelHandle, model2: ModelHandle) -> tuple[ModelHandle]:
        """As a rule the second one is a difference."""
        return (_mixed(model1, model2, lambda _: (1.0, 1.0), "diffusion_model."),)


class ModelMergeSubtract(Node):
    """Subtracts the weights of two diffusion models."""

    CATEGORY = _CATEGORY
    RELATIVE_PYTHON_MODULE = _MODULE
    REQUIRED = inputs(model1=("MODEL",), model2=("MODEL",), multiplier=_MULTIPLIER)
    RETURN_TYPES = ("MODEL",)

    def run(
        self, model1: ModelHandle, model2: ModelHandle, multiplier: float
    ) -> tuple[ModelHandle]:
        """The difference, times the multiplier."""
        factors = (-multiplier, multiplier)
        return (_mixed(model1, model2, lambda _: factors, "diffusion_model."),)


class ModelMergeBlocks(Node):
    """Mixes two diffusion models, with a ratio for each part of the network."""

    CATEGORY = _CATEGORY
    RELATIVE_PYTHON_MODULE = _MODULE
    REQUIRED = inputs(model1=("MODEL",), model2=("MODEL",), input=_RATIO, middle=_RATIO, out=_RATIO)
    RETURN_TYPES = ("MODEL",)

    def run(self, model1: ModelHandle, model2: ModelHandle, **ratios: float) -> tuple[ModelHandle]:
        """What the name of no ratio begins gets the first."""

        def weights(name: str) -> tuple[float, float]:
            ratio = _ratio_of(name.removeprefix("diffusion_model."), ratios)
            return 1.0 - ratio, ratio

        return (_mixed(model1, model2, weights, "diffusion_model."),)


def layers(*names: str) -> Inputs:
    """Two models, and a ratio for each part that a name begins."""
    return inputs(model1=("MODEL",), model2=("MODEL",), **dict.fromkeys(names, _RATIO))


class CLIPMergeSimple(Node):
    """Mixes two text encoders."""

    CATEGORY = _CATEGORY
    RELATIVE_PYTHON_MODULE = _MODULE
    REQUIRED = inputs(clip1=("CLIP",), clip2=("CLIP",), ratio=_RATIO)
    RETURN_TYPES = ("CLIP",)

    def run(self, clip1: TextHandle, clip2: TextHandle, ratio: float) -> tuple[TextHandle]:
        """The ratio is the first one's part."""
        return (_mixed(clip1, clip2, lambda _: (1.0 - ratio, ratio), ""),)


class CLIPMergeAdd(Node):
    """Adds the weights of two text encoders."""

    CATEGORY = _CATEGORY
    RELATIVE_PYTHON_MODULE = _MODULE
    REQUIRED = inputs(clip1=("CLIP",), clip2=("CLIP",))
    RETURN_TYPES = ("CLIP",)

    def run(self, clip1: TextHandle, clip2: TextHandle) -> tuple[TextHandle]:
        """As a rule the second one is a difference."""
        return (_mixed(clip1, clip2, lambda _: (1.0, 1.0), ""),)


class CLIPMergeSubtract(Node):
    """Subtracts the weights of two text encoders."""

    CATEGORY = _CATEGORY
    RELATIVE_PYTHON_MODULE = _MODULE
    REQUIRED = inputs(clip1=("CLIP",), clip2=("CLIP",), multiplier=_MULTIPLIER)
    RETURN_TYPES = ("CLIP",)

    def run(self, clip1: TextHandle, clip2: TextHandle, multiplier: float) -> tuple[TextHandle]:
        """The difference, times the multiplier."""
        return (_mixed(clip1, clip2, lambda _: (-multiplier, multiplier), ""),)
