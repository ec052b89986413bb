"""Which of several pictures of a scene is the one whose camera others are told by.

As the authors of Depth Anything 3 choose it (H. Lin et al. 2025, arXiv:2511.10647).
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

Strategy = Literal["saddle_balanced", "saddle_sim_range", "first", "middle"]
STRATEGIES: Final[list[str]] = list(get_args(Strategy))


def reference_view(summaries: Tensor, strategy: Strategy) -> Tensor:
    """The number [B] of a view, by the tokens [B, V, C] that sum the views up.

    `saddle_balanced` takes the one that is the most average: in likeness to others, and in length
    and variance of its token; `saddle_sim_range` the one with the widest range of likeness.
    """
    scenes, views = summaries.shape[:2]
    if strategy in ("first", "middle"):
        number = 0 if strategy == "first" else views // 2
        return torch.full((scenes,), number, device=summaries.device)
    directions = functional.normalize(summaries, dim=-1)
    likeness = directions @ directions.mT - torch.eye(views, device=summaries.device)
    if strategy == "saddle_sim_range":
        return (likeness.amax(dim=-1) - likeness.amin(dim=-1)).argmax(dim=1)
    measures = (likeness.sum(dim=-1), summaries.norm(dim=-1), directions.var(dim=-1))
    return torch.stack([(_stretched(m) - 0.5).abs() for m in measures]).sum(dim=0).argmin(dim=1)


def _stretched(measure: Tensor) -> Tensor:
    least, most = measure.amin(dim=1, keepdim=True), measure.amax(dim=1, keepdim=True)
    return (measure - least) / (most - least + 1e-8)


def first(tokens: Tensor, chosen: Tensor) -> Tensor:
    """Views [B, V, ...] with the chosen one before the others."""
    return _picked(tokens, _order(tokens.shape[1], chosen))


def in_order_again(tokens: Tensor, chosen: Tensor) -> Tensor:
    """What `first` has put in another order."""
    return _picked(tokens, _order(tokens.shape[1], chosen).argsort(dim=1))


def _order(views: int, chosen: Tensor) -> Tensor:
    """The views' numbers [B, V], the chosen one first."""
    numbers = torch.arange(views, device=chosen.device).expand(len(chosen), -1)
    return torch.where(numbers == chosen[:, None], -1, numbers).argsort(dim=1)


def _picked(tokens: Tensor, order: Tensor) -> Tensor:
    return tokens[torch.arange(len(tokens), device=order.device)[:, None], order]
