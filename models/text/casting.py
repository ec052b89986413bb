"""Layers whose weights are kept in a smaller type than they compute in."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from models.mapping import release_pages


def call_in(module: nn.Module, dtype: torch.dtype, *arguments: Any) -> Any:
    """The module's result with its weights cast to a type for the length of the call.

    Weights of half precision stay mapped from their file this way, and take no memory of their own
    beside one layer's.
    """
    parameters = dict(module.named_parameters())
    if all(p.dtype == dtype for p in parameters.values()):
        return module(*arguments)
    cast = {}
    for name, parameter in parameters.items():
        cast[name] = parameter.to(dtype)
        release_pages(parameter)
    return torch.func.functional_call(module, cast, arguments)
