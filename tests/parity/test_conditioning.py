"""Areas, masks, strengths and timestep ranges in the sampling loop against the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from models.sampling.sample import sample_latent
from tests.parity import loader, toy
from tests.parity.report import ParityReport

Options = dict[str, Any]


def set_area(width: int, height: int, x: int, y: int, strength: float) -> Options:
    return {"area": (height // 8, width // 8, y // 8, x // 8), "strength": strength}


def set_fractions(width: float, height: float, x: float, y: float, strength: float) -> Options:
    return {"area": ("percentage", height, width, y, x), "strength": strength}


def set_mask(mask: Any, strength: float, set_cond_area: str) -> Options:
    return {
        "mask": toy.tensor(mask),
        "mask_strength": strength,
        "set_area_to_bounds": set_cond_area == "mask bounds",
    }


def set_range(start: float, end: float) -> Options:
    return {"start_percent": start, "end_percent": end}


# What each node writes into the options of a CONDITIONING.
OPERATIONS: dict[str, Callable[..., Options]] = {
    "ConditioningSetArea": set_area,
    "ConditioningSetAreaPercentage": set_fractions,
    "ConditioningSetAreaStrength": lambda strength: {"strength": strength},
    "ConditioningSetMask": set_mask,
    "ConditioningSetTimestepRange": set_range,
}


def conditioning(entries: list[dict[str, Any]]) -> list[list[Any]]:
    combined = []
    for entry in entries:
        options: Options = {}
        for operation in entry.get("ops", []):
            options |= OPERATIONS[operation["node"]](**operation["inputs"])
        combined += toy.conditioning(entry["value"], options, entry.get("tokens", 1))
    return combined


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("case", loader.cases("conditioning"), ids=lambda case: case["id"])
def test_conditionings_act_as_in_the_reference(
    case: loader.Case, parity_report: ParityReport
) -> None:
    model = toy.ToyModel(case["model"], case["shape"][1])
    with parity_report.case("conditioning", case) as check:
        result = sample_latent(
            model,
            {"samples": torch.zeros(case["shape"])},
            seed=case["seed"],
            steps=case["steps"],
            cfg=case["cfg"],
            sampler_name=case["sampler"],
            scheduler=case["scheduler"],
            positive=conditioning(case["positive"]),
            negative=conditioning(case["negative"]),
        )
        check(result["samples"], case["output"])
        assert len(model.seen_sigmas) == case["model_calls"]
