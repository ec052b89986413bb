"""The noise schedules that parity cases name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.sampling.continuous import (
    AngleSchedule,
    CosineSchedule,
    EdmSchedule,
    OddsSchedule,
)
from models.sampling.prediction import VELOCITY, AdditiveFlow, Preconditioned
from models.sampling.schedule import DiscreteSchedule, FlowSchedule, FluxSchedule, Schedule


def _flux(kind: dict[str, Any], settings: dict[str, Any]) -> Schedule:
    if kind.get("node") != "ModelSamplingFlux":
        return FluxSchedule(settings.get("shift", 1.15))
    size = (kind["width"], kind["height"])
    shifts = {"base_shift": kind["base_shift"], "max_shift": kind["max_shift"]}
    return FluxSchedule(FluxSchedule.mu_for(*size, **shifts))


def _bounds(settings: dict[str, Any]) -> tuple[float, float]:
    return settings["sigma_min"], settings["sigma_max"]


_BUILDERS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Schedule]] = {
    "EPS": lambda kind, s: DiscreteSchedule.scaled_linear(zero_snr=s.get("zsnr", False)),
    "V_PREDICTION": lambda kind, s: DiscreteSchedule.scaled_linear(
        VELOCITY, zero_snr=s.get("zsnr", False)
    ),
    "FLOW": lambda kind, s: FlowSchedule(s.get("shift", 1.0), s.get("multiplier", 1000.0)),
    "FLUX": _flux,
    "EDM": lambda kind, s: EdmSchedule(*_bounds(s), Preconditioned(s.get("sigma_data", 1.0))),
    "V_PREDICTION_CONTINUOUS": lambda kind, s: AngleSchedule(*_bounds(s), VELOCITY),
    "STABLE_CASCADE": lambda kind, s: CosineSchedule(s.get("shift", 1.0)),
    "FLOW_COSMOS": lambda kind, s: OddsSchedule(
        *_bounds(s), AdditiveFlow(s.get("sigma_data", 1.0))
    ),
}


def build(kind: dict[str, Any]) -> Schedule:
    """The schedule for one entry of an area's `kinds`."""
    return _BUILDERS[kind["type"]](kind, kind.get("settings", {}))
