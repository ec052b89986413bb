"""Networks compiled by torch.compile, made when they first compute."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import nn

from models.errors import InvalidInput
from models.network import Network

ADVICE: Final = "leave TorchCompileModel out, or take another backend"
_COMPILERS: Final = ("g++", "clang++", "c++")  # what inductor looks for

Backend: TypeAlias = str | Callable[..., Any]  # its name, or a function as torch.compile takes it

_compiled: WeakKeyDictionary[Network[Any], dict[Backend, Any]] = WeakKeyDictionary()


def check_backend(backend: str, device: torch.device) -> None:
    """Raise InvalidInput, with what to do, if a backend cannot work on a device."""
    if backend == "cudagraphs" and device.type != "cuda":
        raise InvalidInput(f"the backend 'cudagraphs' needs a CUDA GPU, not '{device}'; {ADVICE}")
    if backend != "inductor":
        return
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise InvalidInput(
            f"the backend 'inductor' needs the package triton on a GPU: install it, or {ADVICE}"
        )
    if device.type == "cpu" and not _has_compiler():
        raise InvalidInput(
            "the backend 'inductor' needs a C++ compiler on the CPU: install g++ or set the "
            f"variable CXX, or {ADVICE}"
        )


def _has_compiler() -> bool:
    return any(map(shutil.which, filter(None, (os.environ.get("CXX"), *_COMPILERS))))


def compiled(network: Network[Any], backend: Backend) -> Any:
    """The network's module, compiled; it has the same weights, and is compiled once."""
    known = _compiled.setdefault(network, {})
    if backend not in known:
        known[backend] = _Compiled(torch.compile(network.module, backend=backend), backend)
    return known[backend]


class _Compiled:
    """A compiled module that says what failed."""

    def __init__(self, module: Any, backend: Backend) -> None:
        self._module = module
        self._backend = backend
        self._parts: dict[nn.Module, _Compiled] = {}

    def part(self, part: nn.Module) -> _Compiled:
        """A module inside, compiled by itself; equal layers share what is compiled."""
        if part not in self._parts:
            compiled_part = torch.compile(part, backend=self._backend)
            self._parts[part] = _Compiled(compiled_part, self._backend)
        return self._parts[part]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        from torch._dynamo.exc import TorchDynamoException

        try:
            return self._module(*arguments, **named)
        except TorchDynamoException as error:
            name = getattr(self._backend, "__name__", self._backend)
            first = str(error).strip().partition("\n")[0]
            raise InvalidInput(
                f"the model cannot be compiled by '{name}' ({first}); {ADVICE}"
            ) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def part_of(module: Any, part: nn.Module) -> Any:
    """A module inside one that may be compiled, for who calls the parts of it and never all."""
    return module.part(part) if isinstance(module, _Compiled) else part
