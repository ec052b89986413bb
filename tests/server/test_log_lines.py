"""The last log lines, and who is sent new ones."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from server.log_lines import LONGEST_ENTRY, LogFeed, LogRing


@pytest.fixture
def ring() -> LogRing:
    return LogRing(5)


@pytest.fixture
def logger(ring: LogRing) -> Iterator[logging.Logger]:
    """Logs into the ring, at every level."""
    logger = logging.getLogger("test.log_lines")
    logger.addHandler(ring)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(ring)


def texts(ring: LogRing, number: int = 0) -> list[str]:
    return [entry.m for entry in ring.since(number)[0]]


def test_a_line_has_its_time_its_level_and_an_end(ring: LogRing, logger: logging.Logger) -> None:
    logger.info("two %s", "words")
    (entry,), count = ring.since(0)
    assert (entry.m, count) == ("INFO    two words\n", 1)
    assert entry.t[10] == "T"


def test_only_the_last_lines_are_kept(ring: LogRing, logger: logging.Logger) -> None:
    for number in range(8):
        logger.info("%d", number)
    assert [text.split()[1] for text in texts(ring)] == ["3", "4", "5", "6", "7"]
    assert [text.split()[1] for text in texts(ring, 6)] == ["6", "7"]
    assert texts(ring, 8) == []


def test_a_long_line_is_cut(ring: LogRing, logger: logging.Logger) -> None:
    logger.info("x" * (LONGEST_ENTRY + 5))
    assert len(texts(ring)[0]) == LONGEST_ENTRY + 1


def test_secrets_are_not_kept(ring: LogRing, logger: logging.Logger) -> None:
    logger.info("api_key=%s", "s3cret")
    assert texts(ring) == ["INFO    api_key=***\n"]


def test_a_traceback_is_part_of_its_line(ring: LogRing, logger: logging.Logger) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("failed")
    (text,) = texts(ring)
    assert text.startswith("ERROR   failed\nTraceback")
    assert text.endswith("ValueError: broken\n")


class Socket:
    """Keeps the frames it is sent; `noise` is logged at each of them."""

    def __init__(self, noise: logging.Logger | None = None) -> None:
        self.frames: list[bytes] = []
        self._noise = noise

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)
        if self._noise is not None:
            self._noise.warning("a line about sending")

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(frame[frame.index(b"{") :]) for frame in self.frames]

    @property
    def lines(self) -> list[str]:
        return [entry["m"].split()[1] for m in self.messages for entry in m["data"]["entries"]]


async def turns() -> None:
    """Let the event loop turn: several batches go out."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_lines_of_one_moment_come_in_one_message(
    ring: LogRing, logger: logging.Logger
) -> None:
    socket = Socket()
    feed = LogFeed(ring, {"a": socket}.get, batch_s=0)
    logger.info("before")
    feed.subscribe("a", enabled=True)
    logger.info("one")
    thread = threading.Thread(target=logger.info, args=("two",))
    thread.start()
    thread.join()
    await turns()
    (message,) = socket.messages
    assert message["type"] == "logs"
    assert set(message["data"]) == {"entries", "size"}
    assert set(message["data"]["size"]) == {"cols", "rows"}
    assert socket.lines == ["one", "two"]
    feed.close()


async def test_a_flood_is_cut_to_what_the_ring_keeps(ring: LogRing, logger: logging.Logger) -> None:
    socket = Socket()
    feed = LogFeed(ring, {"a": socket}.get, batch_s=0)
    feed.subscribe("a", enabled=True)
    for number in range(1000):
        logger.info("%d", number)
    await turns()
    assert socket.lines == ["995", "996", "997", "998", "999"]
    feed.close()


async def test_lines_about_sending_do_not_feed_themselves(
    ring: LogRing, logger: logging.Logger
) -> None:
    socket = Socket(noise=logger)
    feed = LogFeed(ring, {"a": socket}.get, batch_s=0)
    feed.subscribe("a", enabled=True)
    logger.info("one")
    await turns()
    assert len(socket.frames) == 1
    logger.info("two")
    await turns()
    assert socket.lines == ["one", "a", "two"]  # "a line about sending" went out with "two"
    feed.close()


async def test_a_client_that_turns_it_off_gets_no_more(
    ring: LogRing, logger: logging.Logger
) -> None:
    socket = Socket()
    feed = LogFeed(ring, {"a": socket}.get, batch_s=0)
    feed.subscribe("a", enabled=True)
    logger.info("one")
    feed.subscribe("a", enabled=False)
    logger.info("two")
    await turns()
    assert socket.lines == ["one"]
    feed.close()


async def test_a_subscription_ends_with_its_socket(ring: LogRing, logger: logging.Logger) -> None:
    old, new = Socket(), Socket()
    sockets = {"a": old}
    feed = LogFeed(ring, sockets.get, batch_s=0)
    feed.subscribe("a", enabled=True)
    sockets["a"] = new
    logger.info("one")
    await turns()
    assert (old.frames, new.frames) == ([], [])
    feed.close()


async def test_a_later_subscriber_gets_only_later_lines(
    ring: LogRing, logger: logging.Logger
) -> None:
    sockets = {"a": Socket(), "b": Socket()}
    feed = LogFeed(ring, sockets.get, batch_s=0)
    feed.subscribe("a", enabled=True)
    logger.info("one")
    feed.subscribe("b", enabled=True)
    logger.info("two")
    await turns()
    assert sockets["a"].lines == ["one", "two"]
    assert sockets["b"].lines == ["two"]
    feed.close()


async def test_a_closed_feed_is_left_alone(ring: LogRing, logger: logging.Logger) -> None:
    socket = Socket()
    feed = LogFeed(ring, {"a": socket}.get, batch_s=0)
    feed.subscribe("a", enabled=True)
    feed.close()
    logger.info("one")
    await turns()
    assert socket.frames == []
    assert ring.on_entry is None
