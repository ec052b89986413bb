"""Which content encoding a client prefers: RFC 9110, section 12.5.3."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence


def preferred_encoding(header: str, offered: Sequence[str]) -> str | None:
    """The offered encoding that `Accept-Encoding` likes best; None: send the body as it is.

    Of encodings that are liked equally, the first that is offered.
    """
    weights = _weights(header)
    rest = weights.get("*", 0.0)
    best = max(offered, key=lambda encoding: weights.get(encoding, rest), default=None)
    if best is None:
        return None
    weight = weights.get(best, rest)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def _weights(header: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for item in header.lower().split(","):
        name, *parameters = item.split(";")
        weights[name.strip()] = _quality(parameters)
    return weights


def _quality(parameters: list[str]) -> float:
    """The value of `q=0.5` among them; 1 without one, 0 for one that is no such number."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            with contextlib.suppress(ValueError):
                quality = float(value)
                return quality if 0 <= quality <= 1 else 0.0
            return 0.0
    return 1.0
