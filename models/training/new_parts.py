"""The tensors that an adapter begins with: of no effect, in the layout of LyCORIS' files.

LoRA: Hu et al. 2021. LoHa: Hyeon-Woo et al. 2022. LoKr: Yeh et al. 2024. OFT: Qiu et al. 2023.
One factor of each begins at chance and the other at zero, as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal

import torch
from torch import Generator, Tensor

from models.lora.files import Parts

Algorithm = Literal["LoRA", "LoHa", "LoKr", "OFT"]


def new_parts(algorithm: Algorithm, shape: torch.Size, rank: int, chance: Generator) -> Parts:
    """Float32 tensors for a weight [out, in, ...]; ranks beyond its own are cut to that.

    For OFT the rank is the most rows that turn together.
    """
    return _KINDS[algorithm](shape, rank, chance)


def _lora(shape: torch.Size, rank: int, chance: Generator) -> Parts:
    rank = min(rank, shape[0], shape[1:].numel())
    return {
        "up": torch.zeros(shape[0], rank, *[1] * (len(shape) - 2)),
        "down": _uniform((rank, *shape[1:]), chance),
        "alpha": torch.tensor(float(rank)),
    }


def _loha(shape: torch.Size, rank: int, chance: Generator) -> Parts:
    columns = shape[1:].numel()
    rank = min(rank, shape[0], columns)
    return {
        "hada_w1_a": 0.1 * _normal((shape[0], rank), chance),
        "hada_w1_b": _normal((rank, columns), chance),
        "hada_w2_a": torch.zeros(shape[0], rank),
        "hada_w2_b": _normal((rank, columns), chance),
        "alpha": torch.tensor(float(rank)),
    }


def _lokr(shape: torch.Size, rank: int, chance: Generator) -> Parts:
    """A small matrix, and one of low rank where that is smaller than the whole of it."""
    (outer_rows, rows), (outer_columns, columns) = near_root(shape[0]), near_root(shape[1])
    columns *= shape[2:].numel()
    parts = {"lokr_w1": _uniform((outer_rows, outer_columns), chance)}
    if rank < max(rows, columns) / 2 and rank < min(rows, columns):
        factors = {
            "lokr_w2_a": torch.zeros(rows, rank),
            "lokr_w2_b": _uniform((rank, columns), chance),
        }
        return parts | factors | {"alpha": torch.tensor(float(rank))}
    return parts | {"lokr_w2": torch.zeros(rows, columns)}


def _oft(shape: torch.Size, rank: int, chance: Generator) -> Parts:
    rows = shape[0]
    size = max(n for n in range(1, min(rank, rows) + 1) if rows % n == 0)
    return {"oft_blocks": torch.zeros(rows // size, size, size)}


_KINDS: Final[dict[Algorithm, Callable[[torch.Size, int, Generator], Parts]]] = {
    "LoRA": _lora,
    "LoHa": _loha,
    "LoKr": _lokr,
    "OFT": _oft,
}


def near_root(number: int) -> tuple[int, int]:
    """The two factors that are nearest to each other, the smaller first."""
    smaller = max(n for n in range(1, math.isqrt(number) + 1) if number % n == 0)
    return smaller, number // smaller


def _uniform(shape: tuple[int, ...], chance: Generator) -> Tensor:
    """As layers of torch begin (He et al. 2015, with a slope of root 5): bound by inputs."""
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return (2 * torch.rand(shape, generator=chance) - 1) * bound


def _normal(shape: tuple[int, ...], chance: Generator) -> Tensor:
    return torch.randn(shape, generator=chance)
