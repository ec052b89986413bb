"""Nodes that leave evaluations of a model out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.output_reuse import OutputReuse, with_network_reuse, with_prediction_reuse
from models.protocol.patcher import ModelPatcher
from nodes.base import inputs
from nodes.schema import SchemaNode

_PART = {"min": 0.0, "max": 1.0, "step": 0.01}


class _Reuse(SchemaNode):
    CATEGORY = "advanced/debug/model"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_easycache"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL", {}),
        reuse_threshold=("FLOAT", {"default": 0.2, "min": 0.0, "max": 3.0, "step": 0.01}),
        start_percent=("FLOAT", {"default": 0.15, **_PART}),
        end_percent=("FLOAT", {"default": 0.95, **_PART}),
        verbose=("BOOLEAN", {"default": False}),
    )
    RETURN_TYPES = ("MODEL",)

    _attach: Callable[[Any, OutputReuse], Any]

    def run(
        self,
        model: ModelPatcher,
        reuse_threshold: float,
        start_percent: float,
        end_percent: float,
        verbose: bool,
    ) -> tuple[ModelPatcher]:
        """The threshold is the part of its size by which a result may be off."""
        sampling = model.get_model_object("model_sampling")
        reuse = OutputReuse(
            name=type(self).__name__,
            threshold=reuse_threshold,
            start_sigma=float(sampling.percent_to_sigma(start_percent)),
            end_sigma=float(sampling.percent_to_sigma(end_percent)),
            verbose=verbose,
        )
        return (type(self)._attach(model, reuse),)


class EasyCache(_Reuse):
    """Faster: leaves the network out where its result hardly changes from step to step."""

    DISPLAY_NAME = "EasyCache"
    _attach = staticmethod(with_network_reuse)


class LazyCache(_Reuse):
    """Faster: the same for the guided prediction as a whole, for models of all kinds."""

    DISPLAY_NAME = "LazyCache"
    _attach = staticmethod(with_prediction_reuse)
