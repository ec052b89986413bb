"""Switches of torch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from models.speed import FEATURES, WITHOUT_EFFECT, be_deterministic, switch_on
from server.model_flags import FAST_FEATURES


@pytest.fixture
def matmul(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    before = torch.backends.cuda.matmul.allow_fp16_accumulation
    yield torch.backends.cuda.matmul
    torch.backends.cuda.matmul.allow_fp16_accumulation = before


def test_only_what_is_asked_for_is_on(matmul: object) -> None:
    switch_on(["autotune"])
    assert torch.backends.cudnn.benchmark
    assert not torch.backends.cuda.matmul.allow_fp16_accumulation
    switch_on(["fp16_accumulation"])
    assert torch.backends.cuda.matmul.allow_fp16_accumulation


def test_what_has_no_effect_is_said(caplog: pytest.LogCaptureFixture) -> None:
    switch_on(WITHOUT_EFFECT)
    assert [record.getMessage() for record in caplog.records] == [
        f"fast: {name} has no effect here" for name in WITHOUT_EFFECT
    ]


def test_every_word_of_the_flag_is_known() -> None:
    assert set(FAST_FEATURES) == {*FEATURES, *WITHOUT_EFFECT}


@pytest.fixture
def switches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield
    torch.use_deterministic_algorithms(False)


def test_results_can_be_the_same_in_every_run(switches: None) -> None:
    be_deterministic()
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
