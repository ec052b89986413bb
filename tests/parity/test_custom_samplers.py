"""Custom sampling put together of nodes, on the toy model, against the reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nodes.registry import NODE_CLASSES
from tests.nodes.context import RecordingReporter, node_context
from tests.parity import loader, toy
from tests.parity.report import ParityReport
from tests.parity.toy_patcher import toy_patcher

AREA = "custom_samplers"
STEP_SIZES = 3e-4  # relative; those of dpm_adaptive carry the rounding of errors


@pytest.fixture
def reporter(tmp_path: Path) -> Iterator[RecordingReporter]:
    recorded = RecordingReporter()
    with node_context(tmp_path, reporter=recorded), torch.inference_mode():
        yield recorded


def call(described: dict[str, Any], **more: Any) -> Any:
    """The first output of a node that a case describes."""
    inputs = {name: value_of(value) for name, value in described.get("inputs", {}).items()}
    return NODE_CLASSES[described["node"]]().run(**inputs, **more)[0]


def value_of(value: Any) -> Any:
    is_prompt = isinstance(value, dict) and "cond_value" in value
    return toy.conditioning(value["cond_value"]) if is_prompt else value


def needs_model(described: dict[str, Any]) -> bool:
    return "model" in NODE_CLASSES[described["node"]].REQUIRED


def guider_of(case: loader.Case, model: Any) -> Any:
    """The guider with the prompts that its class takes."""
    described = case["guider"]
    positive, negative = (toy.conditioning(case[name]) for name in ("positive", "negative"))
    prompts: dict[str, Any] = {
        "BasicGuider": lambda: {"conditioning": positive},
        "CFGGuider": lambda: {"positive": positive, "negative": negative},
        "DualCFGGuider": lambda: {
            "cond1": positive,
            "cond2": toy.conditioning(described["cond2"]),
            "negative": negative,
        },
        "PerpNegGuider": lambda: {
            "positive": positive,
            "negative": negative,
            "empty_conditioning": toy.conditioning(described["empty"]),
        },
    }[described["node"]]()
    return call(described, model=model, **prompts)


def sigmas_of(case: loader.Case, model: Any) -> torch.Tensor:
    if "sigmas_in" in case:
        return torch.tensor(case["sigmas_in"], dtype=torch.float32)
    needed = {"model": model} if needs_model(case["scheduler"]) else {}
    sigmas: torch.Tensor = call(case["scheduler"], **needed)
    return sigmas


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("case", loader.cases(AREA), ids=lambda case: case["id"])
def test_both_latents_are_the_reference_latents(
    case: loader.Case, parity_report: ParityReport, reporter: RecordingReporter
) -> None:
    model = toy_patcher(case["model"], case["shape"][1])
    seen = model.model.toy
    for patch in case.get("model_patches", ()):
        model = call(patch, model=model)
    with parity_report.case(AREA, case) as check:
        sigmas = sigmas_of(case, model)
        np.testing.assert_allclose(sigmas, case["sigmas"], rtol=2e-5, atol=1e-5)
        samples = toy.tensor(case.get("latent"))
        no_noise = case.get("disable_noise", False)
        noise = {"node": "DisableNoise"} if no_noise else {"node": "RandomNoise"}
        output, denoised = NODE_CLASSES["SamplerCustomAdvanced"]().run(
            noise=call(noise, **({} if no_noise else {"noise_seed": case["seed"]})),
            guider=guider_of(case, model),
            sampler=call(
                case["sampler"], **({"model": model} if needs_model(case["sampler"]) else {})
            ),
            sigmas=sigmas,
            latent_image={"samples": torch.zeros(case["shape"]) if samples is None else samples},
        )
        check(output["samples"], case["output"])
        check(denoised["samples"], case["denoised_output"])
        assert len(seen.seen_sigmas) == case["model_calls"]
        assert seen.seen_sigmas == pytest.approx(case["model_sigmas"].tolist(), rel=STEP_SIZES)
        steps = [value - 1 for _, value, _ in reporter.reports]
        assert steps == case["callback_steps"]
