"""Packs put functions of theirs in the place of the host's; our nodes call them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import comfy.k_diffusion.sampling as k_diffusion
import comfy.sample
import comfy.samplers
import pytest
import torch

import nodes
from models.handle import ModelHandle
from models.protocol.replaced import is_any_replaced
from nodes.registry import NODE_CLASSES
from tests.compat.comfy_models.runs import LATENT, NEGATIVE, POSITIVE, run

REPLACED = (
    (comfy.sample, "sample"),
    (comfy.sample, "prepare_noise"),
    (comfy.sample, "fix_empty_latent_channels"),
    (comfy.samplers, "CFGGuider"),
    (comfy.samplers, "KSampler"),
    (comfy.samplers, "calculate_sigmas"),
    (comfy.samplers, "sample"),
    (comfy.samplers, "sampler_object"),
    (comfy.samplers, "sampling_function"),
    (comfy.samplers, "calc_cond_batch"),
    (comfy.samplers, "cfg_function"),
    (comfy.samplers.KSampler, "sample"),
    (comfy.samplers.CFGGuider, "sample"),
    (comfy.samplers.CFGGuider, "predict_noise"),
    (comfy.samplers.KSAMPLER, "sample"),
    (k_diffusion, "sample_euler"),
)


def counted(function: Callable[..., Any], calls: list[tuple[Any, ...]]) -> Callable[..., Any]:
    def theirs(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return function(*args, **kwargs)

    return theirs


@pytest.mark.parametrize(
    ("owner", "name"), REPLACED, ids=[f"{owner.__name__}.{name}" for owner, name in REPLACED]
)
def test_a_function_around_the_hosts_is_called_by_our_nodes(
    monkeypatch: pytest.MonkeyPatch, model: ModelHandle, owner: Any, name: str
) -> None:
    plain = run(model)
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(owner, name, counted(getattr(owner, name), calls))
    assert is_any_replaced()
    assert torch.allclose(run(model), plain, atol=1e-4)
    assert calls
    monkeypatch.undo()
    assert not is_any_replaced()


def test_the_first_arguments_of_a_run_come_by_position(
    monkeypatch: pytest.MonkeyPatch, model: ModelHandle
) -> None:
    seen: list[Any] = []

    def theirs(model: Any, noise: Any, *args: Any, **kwargs: Any) -> Any:
        seen.extend((args[-3], args[-2], args[-1]))
        return args[-1] + 1

    monkeypatch.setattr(comfy.sample, "sample", theirs)
    assert torch.equal(run(model), LATENT + 1)
    assert seen[0] is POSITIVE and seen[1] is NEGATIVE and torch.equal(seen[2], LATENT)


def test_the_nodes_call_a_common_ksampler_of_a_pack(
    monkeypatch: pytest.MonkeyPatch, model: ModelHandle
) -> None:
    calls: list[tuple[Any, ...]] = []
    ours = nodes.common_ksampler
    monkeypatch.setitem(vars(nodes), "common_ksampler", counted(ours, calls))
    arguments = (model, 1, 2, 5.0, "euler", "normal", POSITIVE, NEGATIVE, {"samples": LATENT})
    (latent,) = NODE_CLASSES["KSampler"]().sample(*arguments)  # type: ignore[attr-defined]
    (wanted,) = ours(*arguments)
    assert torch.equal(latent["samples"], wanted["samples"])
    advanced = ("enable", *arguments[1:], 1, 2, "enable")
    (latent,) = NODE_CLASSES["KSamplerAdvanced"]().sample(model, *advanced)  # type: ignore[attr-defined]
    (wanted,) = ours(*arguments, start_step=1, last_step=2)
    assert torch.equal(latent["samples"], wanted["samples"])
    assert len(calls) == 2 and "comfy.samplers" in sys.modules
