"""Answers that are kept until the job database changes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from server import kept_answers
from server.kept_answers import KeptAnswers


class Numbers:
    """Something that changes; each answer made from it counts on."""

    def __init__(self) -> None:
        self.revision = 1
        self.made = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        self.made += 1
        yield b"[%d" % self.made
        yield b"]"

    async def changing(self) -> AsyncIterator[bytes]:
        self.revision += 1
        async for piece in self.pieces():
            yield piece


def body(response: web.Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


async def test_an_answer_is_made_once_a_revision_and_question() -> None:
    kept, numbers = KeptAnswers(), Numbers()
    for asked, made in (("a", b"[1]"), ("a", b"[1]"), ("b", b"[2]"), ("a", b"[1]")):
        assert body(await kept.response(asked, numbers, numbers.pieces)) == made
    numbers.revision += 1
    for asked, made in (("a", b"[3]"), ("b", b"[4]"), ("a", b"[3]")):
        assert body(await kept.response(asked, numbers, numbers.pieces)) == made


async def test_an_answer_made_during_a_change_is_not_kept() -> None:
    kept, numbers = KeptAnswers(), Numbers()
    assert body(await kept.response("a", numbers, numbers.changing)) == b"[1]"
    assert body(await kept.response("a", numbers, numbers.pieces)) == b"[2]"


async def test_what_is_kept_is_bounded() -> None:
    kept, numbers = KeptAnswers(), Numbers()

    async def long() -> AsyncIterator[bytes]:
        numbers.made += 1
        yield b" " * (kept_answers._MOST_BYTES + 1)

    for _ in range(2):
        await kept.response("long", numbers, long)
    assert numbers.made == 2
    for question in range(100):
        await kept.response(question, numbers, numbers.pieces)
    assert len(kept._answers) <= kept_answers._MOST_ANSWERS
