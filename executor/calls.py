"""The questions that a `Call` message carries to a worker, and the form of their answers.

| method            | arguments               | result                          |
|-------------------|-------------------------|---------------------------------|
| `validate_inputs` | `CheckRequest`          | `CheckResult`                   |
| `device_stats`    | none                    | device entries of /system_stats |
| `memory_stats`    | none                    | `MemoryStats`                   |
| `describe`        | `names` of classes      | their definitions, made anew    |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

VALIDATE_INPUTS: Final = "validate_inputs"
DEVICE_STATS: Final = "device_stats"
MEMORY_STATS: Final = "memory_stats"
DESCRIBE: Final = "describe"


class CheckRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Call one class's own VALIDATE_INPUTS / validate_inputs once."""

    class_type: str
    inputs: dict[str, Any]  # exactly what the method is to be called with
    hidden: dict[str, Any] = {}  # hidden inputs that a V3 class reads as `cls.hidden`


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the inputs are fine; else why not."""

    ok: bool
    text: str | None = None  # what the method returned, if that was not simply False
    exception_type: str | None = None  # set if the method raised
    exception_message: str | None = None
    traceback: list[str] = []


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A network whose weights are in memory."""

    name: str  # the class of the module
    device: str
    bytes: int  # of weights that are there
    is_streaming: bool  # the others wait at home


class MemoryStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker holds in memory, and what happened to it since the process began."""

    rss: int  # resident bytes of the process
    files: int  # model files that it has open
    file_loads: int  # model files that were opened and built
    loads: int  # networks whose weights were read into memory
    loaded_bytes: int
    evictions: int  # networks that made room or were freed
    streamed: int  # times that a network had to stream its weights
    models: list[LoadedModel]  # least recently used first


# Asks about several nodes at once; the results are in the order of the requests.
ClassChecker: TypeAlias = Callable[[Sequence[CheckRequest]], Awaitable[Sequence[CheckResult]]]
