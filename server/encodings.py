"""Which content encoding a client prefers: RFC 9110, section 12.5.3."""

from __future__ import annotations

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
        name, _, parameter = item.partition(";")
        weights[name.strip()] = _quality(parameter)
    return weights


def _quality(parameter: str) -> float:
    """The value of `q=0.5`; 1 without one, 0 for one that is no such number."""
    key, _, value = parameter.partition("=")
    if key.strip() != "q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
