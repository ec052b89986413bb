"""Nodes that change guidance, on the toy model, against the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.protocol.guider import CFGGuider
from models.protocol.k_samplers import sampler_object
from models.sampling.noise import prepare_noise
from nodes.registry import NODE_CLASSES
from tests.parity import loader, toy
from tests.parity.report import ParityReport
from tests.parity.toy_patcher import toy_patcher

CASES = [case for case in loader.cases("custom_samplers") if case.get("model_patches")]


def argument(value: Any) -> Any:
    is_prompt = isinstance(value, dict) and "cond_value" in value
    return toy.conditioning(value["cond_value"]) if is_prompt else value


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_patched_model_gives_the_reference_latent(
    case: loader.Case, parity_report: ParityReport
) -> None:
    model = toy_patcher(case["model"], case["shape"][1])
    for patch in case["model_patches"]:
        inputs = {name: argument(value) for name, value in patch["inputs"].items()}
        (model,) = NODE_CLASSES[patch["node"]]().run(model, **inputs)
    guider = CFGGuider(model)
    guider.set_conds(toy.conditioning(case["positive"]), toy.conditioning(case["negative"]))
    guider.set_cfg(case["guider"]["inputs"]["cfg"])
    latent = torch.zeros(case["shape"])
    with parity_report.case("custom_samplers", case) as check:
        result = guider.sample(
            prepare_noise(latent, case["seed"]),
            latent,
            sampler_object(case["sampler"]["inputs"]["sampler_name"]),
            torch.from_numpy(case["sigmas"]),
            seed=case["seed"],
        )
        check(result, case["output"])
        assert len(model.model.toy.seen_sigmas) == case["model_calls"]
