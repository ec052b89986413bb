"""What nodes that sample report, and where a run of theirs ends when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.load import Checkpoint
from nodes.context import Interrupted, NodeSettings
from nodes.registry import NODE_CLASSES
from tests.models.conftest import policy, tiny, tiny_file
from tests.nodes.context import RecordingReporter, node_context

__all__ = ["policy", "tiny", "tiny_file"]

PROMPT = [[torch.randn(1, 77, 16, generator=torch.Generator().manual_seed(1)), {}]]
LATENT = {"samples": torch.zeros(1, 4, 8, 8)}

Run = Callable[[Checkpoint, str, int], Any]


def ksampler(tiny: Checkpoint, sampler: str, steps: int) -> Any:
    return NODE_CLASSES["KSampler"]().run(
        tiny.model, 1, steps, 2.0, sampler, "normal", PROMPT, PROMPT, LATENT
    )


def custom(tiny: Checkpoint, sampler: str, steps: int) -> Any:
    (sigmas,) = NODE_CLASSES["BasicScheduler"]().run(tiny.model, "normal", steps, 1.0)
    (chosen,) = NODE_CLASSES["KSamplerSelect"]().run(sampler)
    return NODE_CLASSES["SamplerCustom"]().run(
        tiny.model, True, 1, 2.0, PROMPT, PROMPT, chosen, sigmas, LATENT
    )


def advanced(tiny: Checkpoint, sampler: str, steps: int) -> Any:
    (sigmas,) = NODE_CLASSES["BasicScheduler"]().run(tiny.model, "normal", steps, 1.0)
    (chosen,) = NODE_CLASSES["KSamplerSelect"]().run(sampler)
    (guider,) = NODE_CLASSES["CFGGuider"]().run(tiny.model, PROMPT, PROMPT, 2.0)
    (noise,) = NODE_CLASSES["RandomNoise"]().run(1)
    return NODE_CLASSES["SamplerCustomAdvanced"]().run(noise, guider, chosen, sigmas, LATENT)


every_run = pytest.mark.parametrize("run", [ksampler, custom, advanced])


@every_run
def test_every_step_is_reported_with_a_preview_if_asked(
    tmp_path: Path, tiny: Checkpoint, run: Run
) -> None:
    for method, pictures in (("none", 0), ("latent2rgb", 3)):
        reporter = RecordingReporter()
        settings = NodeSettings(preview_method=method)
        with node_context(tmp_path, settings=settings, reporter=reporter):
            run(tiny, "heun", 3)
        assert reporter.reports == [("1", step, 3) for step in (1, 2, 3)]
        drawn = [preview() for preview in reporter.previews if preview is not None]
        assert len(drawn) == pictures


class _InterruptedAt(RecordingReporter):
    """Interrupts at the check of that number; each call of a model and each report is one."""

    def __init__(self, check: int) -> None:
        super().__init__()
        self.left = check

    def check_interrupted(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted


@every_run
def test_a_run_ends_between_two_calls_of_one_step(
    tmp_path: Path, tiny: Checkpoint, run: Run
) -> None:
    reporter = _InterruptedAt(3)  # call, report, and now the second call of the first heun step
    with node_context(tmp_path, reporter=reporter), pytest.raises(Interrupted):
        run(tiny, "heun", 3)
    assert reporter.reports == [("1", 1, 3)]


@every_run
def test_a_run_that_is_interrupted_leaves_the_model_as_it_was(
    tmp_path: Path, tiny: Checkpoint, run: Run
) -> None:
    with node_context(tmp_path):
        before = run(tiny, "euler_ancestral", 2)[0]["samples"]
    with node_context(tmp_path, reporter=_InterruptedAt(2)), pytest.raises(Interrupted):
        run(tiny, "euler_ancestral", 2)
    with node_context(tmp_path):
        assert torch.equal(run(tiny, "euler_ancestral", 2)[0]["samples"], before)


def test_all_nodes_give_the_same_latent_for_a_seed(tmp_path: Path, tiny: Checkpoint) -> None:
    with node_context(tmp_path):
        plain, *others = (
            run(tiny, "dpmpp_2m_sde", 3)[0]["samples"] for run in (ksampler, custom, advanced)
        )
    for other in others:
        assert torch.allclose(other, plain, atol=1e-5)


def test_without_added_noise_the_seed_is_still_that_of_the_sampler(
    tmp_path: Path, tiny: Checkpoint
) -> None:
    (sigmas,) = NODE_CLASSES["BasicScheduler"]().run(tiny.model, "normal", 3, 1.0)
    (sampler,) = NODE_CLASSES["KSamplerSelect"]().run("euler_ancestral")
    with node_context(tmp_path):
        first, second, again = (
            NODE_CLASSES["SamplerCustom"]().run(
                tiny.model, False, seed, 2.0, PROMPT, PROMPT, sampler, sigmas, LATENT
            )[0]["samples"]
            for seed in (1, 2, 1)
        )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_sigmas_in_two_parts_give_what_one_list_gives(tmp_path: Path, tiny: Checkpoint) -> None:
    (sigmas,) = NODE_CLASSES["BasicScheduler"]().run(tiny.model, "karras", 4, 1.0)
    high, low = NODE_CLASSES["SplitSigmas"]().run(sigmas, 2)
    (euler,) = NODE_CLASSES["KSamplerSelect"]().run("euler")
    (guider,) = NODE_CLASSES["CFGGuider"]().run(tiny.model, PROMPT, PROMPT, 2.0)
    (noise,), (no_noise,) = (
        NODE_CLASSES["RandomNoise"]().run(1),
        NODE_CLASSES["DisableNoise"]().run(),
    )
    node = NODE_CLASSES["SamplerCustomAdvanced"]()
    with node_context(tmp_path):
        whole, _ = node.run(noise, guider, euler, sigmas, LATENT)
        half, _ = node.run(noise, guider, euler, high, LATENT)
        rest, _ = node.run(no_noise, guider, euler, low, half)
    assert torch.allclose(rest["samples"], whole["samples"], atol=1e-4)


def test_the_ends_of_a_run_are_levels_if_asked_for(tiny: Checkpoint) -> None:
    node = NODE_CLASSES["SamplingPercentToSigma"]()
    schedule = tiny.model.schedule
    assert node.run(tiny.model, 0.0, True) == (schedule.sigma_max,)
    assert node.run(tiny.model, 1.0, True) == (schedule.sigma_min,)
    assert node.run(tiny.model, 0.0, False)[0] > schedule.sigma_max
    assert node.run(tiny.model, 1.0, False) == (0.0,)
    assert node.run(tiny.model, 0.4, True) == node.run(tiny.model, 0.4, False)
