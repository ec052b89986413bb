"""Latents of KSampler and KSamplerAdvanced on the toy model against the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.sampling.sample import sample_latent
from models.sampling.samplers import SAMPLERS
from tests.parity import loader, toy
from tests.parity.report import ParityReport

OPTIONAL = ("start_step", "last_step", "force_full_denoise", "disable_noise")


def latent_of(case: loader.Case) -> dict[str, Any]:
    samples = toy.tensor(case["latent"])
    if samples is None:
        shape: list[int] = case["latent_shape"] if "latent_shape" in case else case["shape"]
        samples = torch.zeros(shape)
    value: dict[str, Any] = {"samples": samples}
    if "batch_index" in case:
        value["batch_index"] = case["batch_index"]
    if "noise_mask" in case:
        value["noise_mask"] = toy.tensor(case["noise_mask"])
    return value


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("case", loader.cases("samplers"), ids=lambda case: case["id"])
def test_latent_is_the_reference_latent(case: loader.Case, parity_report: ParityReport) -> None:
    if case["sampler"] not in SAMPLERS:
        parity_report.missing("samplers", case["id"], case["sampler"])
        pytest.skip(f"sampler {case['sampler']} is not built")
    steps: list[int] = []
    model = toy.ToyModel(case["model"], case["shape"][1])
    with parity_report.case("samplers", case) as check:
        result = sample_latent(
            model,
            latent_of(case),
            seed=case["seed"],
            steps=case["steps"],
            cfg=case["cfg"],
            sampler_name=case["sampler"],
            scheduler=case["scheduler"],
            denoise=case["denoise"],
            positive=toy.conditioning(case["positive"]),
            negative=toy.conditioning(case["negative"]),
            callback=lambda step, total, denoised, x: steps.append(step),
            **{name: case[name] for name in OPTIONAL if name in case},
        )
        check(result["samples"], case["output"])
        assert len(model.seen_sigmas) == case["model_calls"]
        assert model.seen_sigmas == pytest.approx(case["model_sigmas"].tolist(), rel=1e-4)
        assert steps == case["callback_steps"]
