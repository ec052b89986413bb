"""Image, latent and mask nodes against the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nodes.registry import NODE_CLASSES
from tests.parity import loader
from tests.parity.report import Check, ParityReport


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def _run(node: str, inputs: Mapping[str, Any]) -> Any:
    return NODE_CLASSES[node]().run(**{key: _value(value) for key, value in inputs.items()})


def _value(value: Any) -> Any:
    """Arrays become tensors; `$node` becomes what that node gives."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, dict) and "$node" in value:
        return _run(value["$node"], value.get("inputs", {}))[0]
    if isinstance(value, dict):
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(item) for item in value]
    return value


def _check(check: Check, actual: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert actual.keys() == expected.keys()
        for key, value in expected.items():
            _check(check, actual[key], value)
    elif isinstance(expected, list):
        assert len(actual) == len(expected)
        for item, value in zip(actual, expected, strict=True):
            _check(check, item, value)
    elif isinstance(expected, np.ndarray):
        assert isinstance(actual, Tensor)
        check(actual.float().numpy(), expected)
    else:  # text, and numbers that must be the same
        assert actual == expected
        check(0.0, np.zeros(()))


@pytest.mark.parametrize("case", loader.cases("nodes"), ids=lambda case: case["id"])
def test_a_node_gives_the_reference_outputs(case: loader.Case, parity_report: ParityReport) -> None:
    if case["node"] not in NODE_CLASSES:
        parity_report.missing("nodes", case["id"], f"the node {case['node']}")
        pytest.skip(f"there is no node {case['node']}")
    with parity_report.case("nodes", case) as check:
        outputs = _run(case["node"], case["inputs"])
        for actual, expected in zip(outputs, case["outputs"], strict=True):
            _check(check, actual, expected)
