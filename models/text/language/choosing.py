"""Which token comes next: drawn from a model's scores, or the best one.

Everything is deterministic in a seed, and has no part in random numbers of anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import InvalidInput

_SEEDS = 2**64


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are drawn. What can be said of it is made in the order of these fields.

    Penalties are those of CTRL (arXiv 1909.05858; tokens of the prompt count, too) and of presence
    in the text so far. Then scores are divided by the temperature, and only so many tokens are left
    as `top_k` says (0: all), as together have a probability of `top_p` (arXiv 1904.09751), and as
    are at least `min_p` times as probable as the best (arXiv 2407.01082).
    """

    repetition_penalty: float = 1.0  # what scores of former tokens are divided by
    presence_penalty: float = 0.0  # what is taken from scores of tokens that were written
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise InvalidInput("the temperature of sampling must be above 0")
        if self.repetition_penalty <= 0:
            raise InvalidInput("the penalty of repetitions must be above 0: 1 is none")


class Chooser:
    """Chooses token after token of one text."""

    def __init__(self, prompt: Sequence[int], sampling: Sampling | None) -> None:
        self._sampling = sampling
        self._prompt = frozenset(prompt)
        self._written: set[int] = set()
        self._generator = torch.Generator()
        if sampling is not None:
            self._generator.manual_seed(sampling.seed % _SEEDS)

    def choose(self, scores: Tensor) -> int:
        """The next token by the scores [V] of all; without sampling, the best one."""
        if self._sampling is None:
            return int(scores.argmax())
        values = scores.detach().to("cpu", torch.float32)
        token = self._draw(self._penalised(values, self._sampling), self._sampling)
        self._written.add(token)
        return token

    def _penalised(self, scores: Tensor, sampling: Sampling) -> Tensor:
        scores = scores.clone()
        if sampling.repetition_penalty != 1.0:
            former = _index(self._prompt | self._written, len(scores))
            found = scores[former]
            less = found / sampling.repetition_penalty
            scores[former] = torch.where(found < 0, found * sampling.repetition_penalty, less)
        if sampling.presence_penalty:
            scores[_index(self._written, len(scores))] -= sampling.presence_penalty
        return scores

    def _draw(self, scores: Tensor, sampling: Sampling) -> int:
        count = min(sampling.top_k or len(scores), len(scores))
        kept, tokens = (scores / sampling.temperature).topk(count)  # best first
        probabilities = kept.softmax(dim=0)
        before = probabilities.cumsum(dim=0) - probabilities
        is_kept = before < sampling.top_p
        is_kept &= probabilities >= sampling.min_p * probabilities[0]
        is_kept[0] = True
        chosen = torch.multinomial(probabilities * is_kept, 1, generator=self._generator)
        return int(tokens[chosen])


def _index(tokens: frozenset[int] | set[int], size: int) -> Tensor:
    return torch.tensor(sorted(token for token in tokens if token < size), dtype=torch.long)
