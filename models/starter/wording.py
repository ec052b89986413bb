"""Captions as token ids: a compact vocabulary of the words that training meets; the rest is one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from models.text.vocabulary import clip_ids

LENGTH = 77
START_ID, END_ID = 49406, 49407
VOCABULARY = 49408
UNKNOWN = 0  # compact id of every token that training does not meet
START, END = 1, 2


class Wording:
    """Maps CLIP token ids to a compact vocabulary: unknown, start, end, then the known ones."""

    def __init__(self, known: Iterable[int]) -> None:
        self.known = sorted(set(known) - {START_ID, END_ID})
        self._compact = {token: index + 3 for index, token in enumerate(self.known)}

    @classmethod
    def of(cls, captions: Iterable[str]) -> Wording:
        """The vocabulary of these captions."""
        return cls(token for caption in captions for token in clip_ids(caption))

    @property
    def size(self) -> int:
        """How many compact ids there are."""
        return len(self.known) + 3

    def encode(self, captions: list[str]) -> Tensor:
        """Compact ids, int64 n 77: start, words, end, padded with end as CLIP-L does."""
        rows = torch.full((len(captions), LENGTH), END, dtype=torch.int64)
        rows[:, 0] = START
        for row, caption in zip(rows, captions, strict=True):
            words = [self._compact.get(token, UNKNOWN) for token in clip_ids(caption)]
            words = words[: LENGTH - 2]
            row[1 : 1 + len(words)] = torch.tensor(words, dtype=torch.int64)
        return rows

    def spread(self, embedding: Tensor) -> Tensor:
        """The full 49408-row embedding table: unseen tokens share the row of the unknown one."""
        table = embedding[UNKNOWN].repeat(VOCABULARY, 1)
        table[START_ID], table[END_ID] = embedding[START], embedding[END]
        table[self.known] = embedding[3:]
        return table


def disturb(rows: Tensor, rng: np.random.Generator) -> Tensor:
    """Captions as training shows them: some empty, some foreign words, some wholly foreign."""
    rows = rows.clone()
    fate = torch.from_numpy(rng.random(len(rows)))
    words = rows > END
    strange = words & torch.from_numpy(rng.random(rows.shape) < 0.02)
    rows[strange | (words & (fate > 0.98)[:, None])] = UNKNOWN
    empty = fate < 0.1
    rows[empty, 1:] = END
    return rows
