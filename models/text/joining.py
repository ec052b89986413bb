"""How what several text encoders make of a prompt becomes one conditioning."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.errors import InvalidInput

# By encoder: its (cond [1, T, D], pooled [1, P] or None). What has no tokens is not in it.
Encoded = Mapping[str, tuple[Tensor, Tensor | None]]
Joined = tuple[Tensor, Tensor]


def alone(encoded: Encoded) -> Joined:
    """What the only encoder says (SD 1, SD 2, SDXL's refiner)."""
    ((cond, pooled),) = encoded.values()
    if pooled is None:
        raise InvalidInput("this text encoder has no pooled output")
    return cond, pooled
