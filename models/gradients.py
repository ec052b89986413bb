"""Whether networks compute with gradients: only while something is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch

_are_wanted: ContextVar[bool] = ContextVar("gradients", default=False)


@contextmanager
def with_gradients() -> Iterator[None]:
    """Have computations of networks be recorded for autograd, in inference mode too."""
    token = _are_wanted.set(True)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        _are_wanted.reset(token)


def as_wanted() -> AbstractContextManager[object]:
    """For a computation: without gradients unless somebody trains."""
    return nullcontext() if _are_wanted.get() else torch.no_grad()
