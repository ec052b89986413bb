"""Progress is sent now and then only, and from two threads; the last of a node is never lost."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from executor.messages import Emit, Event, Execute, Preview
from executor.worker import reporting
from executor.worker.graph import PromptGraph
from executor.worker.reporting import RunReporter
from nodes.context import PreviewSource, ReadyPicture, current_context
from tests.executor.worker.harness import Bench, node

GRAPH = {"1": node("Steps")}


class InterruptedTick(RunReporter):
    """The thread of `tick` has just taken progress up when the main thread gets its turn."""

    meanwhile: Callable[[], None] | None = None

    def _send_progress(
        self, node_id: str, value: float, total: float, preview: PreviewSource | None
    ) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            self.main = threading.Thread(target=meanwhile)
            self.main.start()
            self.main.join(0.2)  # waits for `tick`, or is done
        super()._send_progress(node_id, value, total, preview)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def reporter(events: list[Event]) -> InterruptedTick:
    """A reporter that holds back 9 of 10 of node 1."""
    made = InterruptedTick(
        Execute(prompt_id="p", prompt=GRAPH, outputs=[], extra_data={}),
        PromptGraph(GRAPH),
        events.append,
        preview_size=64,
        check_interrupted=lambda: None,
    )
    made.executing("1")
    made.report("1", 1, 10, None)
    made.report("1", 9, 10, None)
    return made


def sent(events: list[Event]) -> list[tuple[str, Any]]:
    """What clients are told, without `progress_state`: type, and value of progress."""
    texts = [json.loads(event.text) for event in events if isinstance(event, Emit)]
    told = [(text["type"], text["data"].get("value")) for text in texts]
    return [entry for entry in told if entry[0] not in ("progress_state", "executing")]


def tick_with(reporter: InterruptedTick, meanwhile: Callable[[], None]) -> None:
    """Send the held-back progress; meanwhile the other thread does something."""
    reporter._progress_due = 0.0
    reporter.meanwhile = meanwhile
    reporter.tick()
    reporter.main.join()


def test_progress_that_is_being_sent_when_its_node_ends_is_not_lost(
    reporter: InterruptedTick, events: list[Event]
) -> None:
    def end() -> None:
        reporter.returned("1")
        reporter.executed("1", {})
        reporter.finished("1")

    tick_with(reporter, end)
    assert sent(events) == [("progress", 1), ("progress", 9), ("executed", None)]


def test_newer_progress_never_overtakes_older(
    reporter: InterruptedTick, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_INTERVAL_S", 0.0)
    tick_with(reporter, lambda: reporter.report("1", 10, 10, None))
    assert sent(events) == [("progress", 1), ("progress", 9), ("progress", 10)]


def test_nothing_follows_the_end_of_the_run(reporter: InterruptedTick, events: list[Event]) -> None:
    def end() -> None:
        reporter.close()
        reporter.send("execution_error", {})

    tick_with(reporter, end)
    assert sent(events) == [("progress", 1), ("progress", 9), ("execution_error", None)]


def test_every_picture_that_is_a_result_is_sent_without_loss(
    reporter: InterruptedTick, events: list[Event]
) -> None:
    picture = Image.new("RGB", (99, 1), (1, 2, 3))
    for number in range(1, 6):
        reporter.report(
            "1", number, 5, ReadyPicture(picture=picture, full_size=True, lossless=True)
        )
    pictures = [event for event in events if isinstance(event, Preview)]
    assert [event.image_type for event in pictures] == ["image/png"] * 5
    with Image.open(io.BytesIO(pictures[-1].image)) as received:
        assert (received.size, received.getpixel((0, 0))) == ((99, 1), (1, 2, 3))
    assert sent(events)[-5:] == [("progress", number) for number in range(1, 6)]


class Steps:
    """Reports progress, then shows something."""

    RETURN_TYPES: tuple[str, ...] = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}}

    def run(self) -> dict[str, Any]:
        for step in range(1, 21):
            current_context().report(step, 20)
        return {"ui": {"text": ["done"]}}


def test_the_last_progress_of_a_node_comes_before_what_it_shows() -> None:
    events = Bench({"Steps": Steps}).run(GRAPH, "1").events
    assert sent(events)[-3:] == [
        ("progress", 20),
        ("executed", None),
        ("execution_success", None),
    ]
