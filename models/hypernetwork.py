"""Hypernetworks: small networks that change keys and values of attention.

The layout is that of the Stable Diffusion web UI: for each width two state dicts, for keys and for
values, beside what shapes cannot tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import CheckpointUnreadable, UnsupportedLayout
from models.weights import read_document

Patch = Callable[[Tensor, Tensor, Tensor, dict[str, Any]], tuple[Tensor, Tensor, Tensor]]

_ACTIVATIONS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "linear": lambda x: x,
    "relu": functional.relu,
    "leakyrelu": functional.leaky_relu,
    "elu": functional.elu,
    "swish": functional.hardswish,  # so the web UI has it
    "hardswish": functional.hardswish,
    "silu": functional.silu,
    "mish": functional.mish,
    "gelu": functional.gelu,
    "selu": functional.selu,
    "softsign": functional.softsign,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One small network: linear layers, with norms and an activation between them."""

    layers: tuple[tuple[Tensor, Tensor | None], ...]  # weights of one axis are norms
    activation: Callable[[Tensor], Tensor]
    activate_output: bool

    def __call__(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        last = max(i for i, (weight, _) in enumerate(self.layers) if weight.ndim == 2)
        for index, (weight, bias) in enumerate(self.layers):
            weight, bias = weight.to(x), None if bias is None else bias.to(x)
            if weight.ndim == 1:
                x = functional.layer_norm(x, weight.shape, weight, bias)
                continue
            x = functional.linear(x, weight, bias)
            if index != last or self.activate_output:
                x = self.activation(x)
        return x


@dataclass(frozen=True, kw_only=True)
class Hypernetwork:
    """Pairs of networks for keys and values, by the width of what attention sees."""

    branches: Mapping[int, tuple[Branch, Branch]]

    def as_patch(self, strength: float) -> Patch:
        """A patch of attention (q, k, v, options); widths without networks stay as they are."""

        def patch(
            q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]
        ) -> tuple[Tensor, Tensor, Tensor]:
            pair = self.branches.get(k.shape[-1])
            if pair is None:
                return q, k, v
            return q, k + strength * pair[0](k), v + strength * pair[1](v)

        return patch


def load_hypernetwork(path: Path) -> Hypernetwork:
    """Read a hypernetwork's file. Raises ModelFileError."""
    document = read_document(path)
    name = document.get("activation_func") or "linear"
    if name not in _ACTIVATIONS:
        raise UnsupportedLayout(path, f"its activation '{name}' is not known")
    branches: dict[int, tuple[Branch, Branch]] = {
        width: (
            _branch(path, pair[0], _ACTIVATIONS[name], document),
            _branch(path, pair[1], _ACTIVATIONS[name], document),
        )
        for width, pair in cast(Mapping[Any, Any], document).items()
        if isinstance(width, int)
    }
    if not branches:
        raise CheckpointUnreadable(path, "it holds no hypernetwork", "Check that it is one.")
    return Hypernetwork(branches=branches)


def _branch(
    path: Path,
    tensors: Mapping[str, Tensor],
    activation: Callable[[Tensor], Tensor],
    document: Mapping[Any, Any],
) -> Branch:
    numbers = sorted(
        {int(match[1]) for name in tensors if (match := re.match(r"linear\.?(\d+)\.", name))}
    )
    dot = "." if any(name.startswith("linear.") for name in tensors) else ""
    if not numbers:
        raise CheckpointUnreadable(path, "its layers are malformed")
    names = [f"linear{dot}{number}" for number in numbers]
    return Branch(
        layers=tuple((tensors[f"{n}.weight"], tensors.get(f"{n}.bias")) for n in names),
        activation=activation,
        activate_output=bool(document.get("activate_output", False)),
    )
