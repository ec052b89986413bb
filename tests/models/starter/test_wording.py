"""Captions become compact ids, and the table spreads back over the whole vocabulary."""

from __future__ import annotations

import numpy as np
import torch

from models.starter.wording import (
    END,
    END_ID,
    START,
    START_ID,
    UNKNOWN,
    VOCABULARY,
    Wording,
    disturb,
)
from models.text.vocabulary import clip_ids

WORDING = Wording.of(["a red cat", "a blue star"])


def test_rows_start_end_and_are_padded_with_the_end() -> None:
    (row,) = WORDING.encode(["a red cat"])
    assert row[0] == START and len(row) == 77
    assert (row[1:4] > END).all() and (row[4:] == END).all()


def test_foreign_words_share_one_row() -> None:
    (row,) = WORDING.encode(["a gigantic cat"])
    assert row[2] == UNKNOWN
    embedding = torch.randn(WORDING.size, 8)
    table = WORDING.spread(embedding)
    assert table.shape == (VOCABULARY, 8)
    assert table[clip_ids("gigantic")[0]].equal(embedding[UNKNOWN])
    assert table[clip_ids("red")[0]].equal(embedding[WORDING.encode(["red"])[0, 1]])
    assert table[START_ID].equal(embedding[START]) and table[END_ID].equal(embedding[END])


def test_long_captions_are_cut() -> None:
    (row,) = WORDING.encode(["red " * 200])
    assert len(row) == 77 and row[-1] == END


def test_training_sees_some_empty_and_some_foreign_captions() -> None:
    rows = WORDING.encode(["a red cat"] * 2000)
    shown = disturb(rows, np.random.default_rng(0))
    empty = (shown[:, 1] == END).float().mean()
    foreign = (shown[:, 1:4] == UNKNOWN).all(dim=1).float().mean()
    assert 0.07 < empty < 0.13 and 0.005 < foreign < 0.04
    assert (shown[:, 0] == START).all() and (shown[:, 4:] == END).all()
