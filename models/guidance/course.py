"""Guidance whose scale is another one in a part of the run."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import Tensor

from models.protocol.extension import WrappersMP
from models.protocol.patcher import ModelPatcher

P = TypeVar("P", bound=ModelPatcher)


def with_scale_between(model: P, cfg: float, start_sigma: float, end_sigma: float) -> P:
    """A clone that is guided by a scale of its own from one noise level down to another.

    Of several, the one that was put in last counts.
    """

    def around(executor: Any, x: Tensor, timestep: Tensor, *more: Any, **named: Any) -> Tensor:
        guider = executor.class_obj
        before = guider.cfg
        if end_sigma <= float(timestep.flatten()[0]) <= start_sigma:
            guider.cfg = cfg
        try:
            predicted: Tensor = executor(x, timestep, *more, **named)
        finally:
            guider.cfg = before
        return predicted

    made = model.clone()
    made.add_wrapper(WrappersMP.PREDICT_NOISE, around)
    return made
