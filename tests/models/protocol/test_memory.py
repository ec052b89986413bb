"""Weights leave memory with the last handle on them."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from models.load import load_checkpoint
from models.memory import Policy
from tests.models.protocol.test_sampling import hooked, run


def test_no_circle_keeps_a_network_alive(tiny_file: Path, policy: Policy) -> None:
    model = load_checkpoint(tiny_file, policy).model
    network = weakref.ref(model.network)
    changed = hooked(model)
    run(changed, steps=1)
    assert changed.model is model.model
    gc.disable()
    try:
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
    del model, again
    assert first() is None
