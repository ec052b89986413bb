"""Weights leave memory with the last handle on them, once their file is not kept loaded."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

from models.load import load_checkpoint
from models.memory import Policy, choose_policy
from tests.models.protocol.test_sampling import hooked, run


@pytest.fixture
def policy() -> Policy:
    """One that has loaded nothing for other tests."""
    return choose_policy(cpu=True)


def test_no_circle_keeps_a_network_alive(tiny_file: Path, policy: Policy) -> None:
    model = load_checkpoint(tiny_file, policy).model
    network = weakref.ref(model.network)
    changed = hooked(model)
    run(changed, steps=1)
    assert changed.model is model.model
    gc.disable()
    try:
        policy.library.clear()
        del model, changed
        assert network() is None
    finally:
        gc.enable()


def test_a_view_is_made_anew_when_the_last_one_is_gone(tiny_file: Path, policy: Policy) -> None:
    model = load_checkpoint(tiny_file, policy).model
    first = weakref.ref(model.model)
    again = type(model)(
        family=model.family,
        network=model.network,
        own_schedule=model.own_schedule,
        latent_format=model.latent_format,
        policy=policy,
    )
    assert again.model is model.model
    policy.library.clear()
    del model, again
    assert first() is None
