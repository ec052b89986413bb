"""What guiders need around a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from models.protocol.guider import prepare_sampling as prepare_sampling
from models.protocol.process import convert_cond as convert_cond
from models.protocol.process import prepare_mask as prepare_mask

Conds = Mapping[str, Sequence[dict[str, Any]]]


def get_models_from_cond(cond: Sequence[Mapping[str, Any]], model_type: str) -> list[Any]:
    """What entries hold under a name, flat."""
    found: list[Any] = []
    for entry in cond:
        value = entry.get(model_type)
        if value is not None:
            found += value if isinstance(value, list) else [value]
    return found


def get_additional_models(conds: Conds, dtype: torch.dtype) -> tuple[list[Any], float]:
    """(models of control networks, bytes that they need when they compute)."""
    controls: dict[int, Any] = {}
    for entries in conds.values():
        for control in get_models_from_cond(entries, "control"):
            controls[id(control)] = control
    models = [model for control in controls.values() for model in control.get_models()]
    memory = sum(control.inference_memory_requirements(dtype) for control in controls.values())
    return models, memory


def get_additional_models_from_model_options(
    model_options: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Models that hooks of options bring along; none."""
    return []


def cleanup_additional_models(models: Iterable[Any]) -> None:
    """Tell models that a run is over."""
    for model in models:
        if hasattr(model, "cleanup"):
            model.cleanup()


def cleanup_models(conds: Conds, models: Iterable[Any]) -> None:
    """The end of a run."""
    cleanup_additional_models(models)
    for entries in conds.values():
        cleanup_additional_models(get_models_from_cond(entries, "control"))


def prepare_model_patcher(model: Any, conds: Conds, model_options: dict[str, Any]) -> None:
    """Put the patcher's hooks into the options of a run."""
    model_options.update(model.run_options(model_options))
