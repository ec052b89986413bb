"""The questions that a `Call` message carries to a worker, and the form of their answers.

| method            | arguments                                   | result                        |
|-------------------|---------------------------------------------|-------------------------------|
| `validate_inputs` | `{"checks": [CheckRequest, ...]}`           | `[CheckAnswer, ...]`, in order |
| `device_stats`    | `{}`                                        | device entries of /system_stats |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec

VALIDATE_INPUTS = "validate_inputs"
DEVICE_STATS = "device_stats"


class CheckRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Call one class's own VALIDATE_INPUTS / validate_inputs once.

    `values` holds exactly the keyword arguments for the declared inputs that its signature asks
    for: literals converted, linked inputs None, absent ones left out. The worker adds the hidden
    inputs that the signature names (PROMPT as `{}`), and `input_types` if it is not None.
    """

    node_id: str
    class_type: str
    values: dict[str, Any]
    input_types: dict[str, Any] | None = None  # given if the signature names `input_types`


class CheckAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a check said. `passed`: it returned True or an execution blocker."""

    passed: bool
    text: str | None = None  # str(result) if it returned something other than True and False
    exception_type: str | None = None  # it raised: `module.Class`, builtins without module
    exception_message: str | None = None
    traceback: list[str] = []


ClassChecker: TypeAlias = Callable[[Sequence[CheckRequest]], Awaitable[Sequence[CheckAnswer]]]
