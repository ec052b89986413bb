from __future__ import annotations

from models.text.chunks import CLIP_G, CLIP_L, T5, Token


def words(*lengths: int) -> list[list[Token]]:
    return [[Token(100 + index)] * length for index, length in enumerate(lengths)]


def groups(chunk: list[Token]) -> list[int]:
    return [token.group for token in chunk]


def test_a_short_prompt_is_one_padded_chunk() -> None:
    (chunk,) = CLIP_L.chunks(words(2, 1))
    assert [token.value for token in chunk[:6]] == [49406, 100, 100, 101, 49407, 49407]
    assert len(chunk) == 77
    assert groups(chunk)[:6] == [0, 1, 1, 2, 0, 0]


def test_clip_g_pads_with_zero() -> None:
    (chunk,) = CLIP_G.chunks(words(1))
    assert [token.value for token in chunk[2:5]] == [49407, 0, 0]


def test_75_tokens_fill_a_chunk() -> None:
    (chunk,) = CLIP_L.chunks(words(75))
    assert chunk[-1].value == 49407 and chunk[-2].value == 100


def test_a_short_group_that_does_not_fit_moves_whole() -> None:
    first, second = CLIP_L.chunks(words(70, 7))
    assert groups(first).count(2) == 0
    assert groups(second)[1:8] == [2] * 7


def test_a_long_group_is_cut_at_the_border() -> None:
    first, second = CLIP_L.chunks(words(70, 8))
    assert groups(first).count(2) == 5
    assert groups(second).count(2) == 3


def test_t5_has_one_chunk_of_any_length() -> None:
    (short,) = T5.chunks(words(3))
    assert len(short) == 77 and short[0].value == 100 and short[3].value == 1
    (long,) = T5.chunks(words(200))
    assert len(long) == 201


def test_the_empty_prompt_has_any_length() -> None:
    assert [token.value for token in CLIP_L.empty(4)] == [49406, 49407, 49407, 49407]
    assert [token.value for token in T5.empty(3)] == [1, 0, 0]
