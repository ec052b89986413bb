"""Full-size Stable Diffusion 1.5 workflows and components against the reference.

Two cheap cases run with the ordinary tests; the others are marked slow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.families.ldm_unet import build_unet
from models.lora import load_lora, lora_patches, unet_names
from models.weights import open_weights
from tests.parity import model_cases
from tests.parity.checkpoints import checkpoint
from tests.parity.report import ParityReport
from tests.parity.workflow import Workflow, check_case, open_workflow

AREA = "models sd15"
CHECKPOINT = "parity_sd15.safetensors"
QUICK = {"sd15_vae_decode", "sd15_t2i_euler_normal"}
LORA_LIMIT = 1e-4  # relative, of corners and norms of patched weights
UNET_LIMIT = 1e-5  # relative; a port of the modules has no excuse for more


@pytest.fixture(scope="module")
def workflow(pytestconfig: pytest.Config) -> Workflow:
    return open_workflow(pytestconfig)


def case_names() -> list[Any]:
    return [
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
        for name in model_cases.names("sd15")
    ]


@pytest.mark.parametrize("name", case_names())
def test_workflow_gives_the_reference_result(
    name: str, workflow: Workflow, parity_report: ParityReport
) -> None:
    check_case(name, AREA, workflow, parity_report)


def test_lora_files_of_all_layouts_patch_as_the_reference_does(
    workflow: Workflow, parity_report: ParityReport
) -> None:
    stored = model_cases.component("sd15_lora_weights")
    if not stored:
        pytest.skip("the folder has no sd15_lora_weights component")
    weights = open_weights(checkpoint(CHECKPOINT, workflow.cache))
    unet = build_unet(weights, torch.float16)  # the file's own type: nothing is converted
    assert unet is not None
    by_original = {unet.original(name): name for name in unet.names()}
    names, errors = unet_names(unet), {}
    for file, strength in sorted({tuple(key.split("|")[:2]) for key in stored}):
        lora = load_lora(checkpoint(f"{file}.safetensors", workflow.cache))
        patches = lora_patches(lora, names, unet, float(strength))
        for key in (key for key in stored if key.startswith(f"{file}|{strength}|")):
            _, _, original, what = key.split("|")
            name = by_original[original.removeprefix("diffusion_model.")]
            before = after = unet.stored(name).float()
            for change in patches.get(name, []):
                after = change.apply(after)
            corner = after.flatten(1)[:6, :6] if after.ndim > 1 else after[:36]
            value = corner if what == "corner" else (after - before).norm()
            actual = value.numpy().reshape(stored[key].shape)
            errors[key] = model_cases.relative_distance(actual, stored[key])
    passed = max(errors.values()) <= LORA_LIMIT
    parity_report.record(AREA, "component lora weights", max(errors.values()), passed)
    assert passed, {key: error for key, error in errors.items() if error > LORA_LIMIT}


@pytest.mark.slow
def test_denoised_of_the_unet_is_the_reference_prediction(
    workflow: Workflow, parity_report: ParityReport
) -> None:
    stored = model_cases.component("sd15_unet")
    if not stored:
        pytest.skip("the folder has no sd15_unet component")
    model = workflow.checkpoint(CHECKPOINT).model
    context = torch.from_numpy(stored["context"])
    errors = []
    for index, sigma in enumerate(torch.from_numpy(stored["sigma"]).float()):
        x = torch.from_numpy(stored[f"x_{index}"])
        assert int(model.schedule.timestep(sigma)) == int(stored[f"timestep_{index}"][0])
        actual = model.denoised(x, sigma.expand(len(x)), context)
        errors.append(model_cases.relative_distance(actual, stored[f"denoised_{index}"]))
    passed = bool(np.max(errors) <= UNET_LIMIT)
    parity_report.record(AREA, "component unet", float(np.max(errors)), passed)
    assert passed, errors
