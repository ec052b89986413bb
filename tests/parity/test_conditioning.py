"""Areas, masks, strengths and timestep ranges in the sampling loop against the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.sampling.sample import sample_latent
from nodes.registry import NODE_CLASSES
from tests.parity import loader, toy
from tests.parity.report import ParityReport


def conditioning(entries: list[dict[str, Any]]) -> list[list[Any]]:
    """The entries of a side, after the nodes that each goes through."""
    combined = []
    for entry in entries:
        value = toy.conditioning(entry["value"], tokens=entry.get("tokens", 1))
        for operation in entry.get("ops", []):
            inputs = operation["inputs"]
            if "mask" in inputs:
                inputs = {**inputs, "mask": toy.tensor(inputs["mask"])}
            (value,) = NODE_CLASSES[operation["node"]]().run(value, **inputs)
        combined += value
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
