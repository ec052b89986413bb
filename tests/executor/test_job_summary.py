"""Which of a job's outputs are counted, and which one stands for it."""

from __future__ import annotations

from typing import Any

import pytest

from executor import json_text
from executor.job_summary import JobSummary
from executor.jobs import JobState, Result


def summarise(outputs: dict[str, Any]) -> JobSummary:
    return JobSummary.of(Result(state=JobState.SUCCEEDED, outputs=json_text.encode(outputs)))


def preview(outputs: dict[str, Any]) -> Any:
    """What stands for the outputs, as a client gets it."""
    shown = summarise(outputs).shown_preview
    return None if shown is None else json_text.decode(bytes(shown))


def file(name: str = "a.png", kind: str = "output", **more: str) -> dict[str, Any]:
    return {"filename": name, "subfolder": "", "type": kind} | more


def test_all_items_of_lists_count_but_only_media_can_be_shown() -> None:
    outputs = {
        "1": {"images": [file(), file()], "animated": [{"x": 1}]},
        "2": {"result": [file("a.bin")], "values": [1, "text", None, [2]], "single": file()},
    }

    summary = summarise(outputs)

    assert (summary.count, summary.previewable_count) == (3, 2)


def test_without_outputs_there_is_nothing_to_show() -> None:
    summary = summarise({})

    assert (summary.count, summary.previewable_count, summary.shown_preview) == (0, 0, None)


@pytest.mark.parametrize("outputs", [{"1": None}, {"1": []}, {"1": {"images": None}}, {"1": 5}])
def test_odd_outputs_are_passed_over(outputs: dict[str, Any]) -> None:
    assert summarise(outputs).count == 0


@pytest.mark.parametrize(
    ("key", "item"),
    [
        ("images", file()),
        ("video", file("a")),
        ("audio", file("a")),
        ("3d", file("a")),
        ("text", file("a")),
        ("gifs", file("a", format="video/h264-mp4")),
        ("other", file("a", format="audio/flac")),
        ("other", file("Model.GLB")),
        ("other", file("a.usdz")),
        ("other", file("notes.TXT")),
        ("other", file("notes.md")),
        ("other", file("values.json")),
    ],
)
def test_what_can_be_shown_is_known_by_key_format_or_name(key: str, item: dict[str, Any]) -> None:
    summary = summarise({"7": {key: [item]}})

    assert summary.previewable_count == 1
    assert preview({"7": {key: [item]}}) == item | {"nodeId": "7", "mediaType": key}


@pytest.mark.parametrize("item", [file("a.bin"), file("a", format="image/gif"), {"a": 1}])
def test_what_cannot_be_shown_is_only_counted(item: dict[str, Any]) -> None:
    summary = summarise({"7": {"gifs": [item]}})

    assert (summary.count, summary.previewable_count, summary.shown_preview) == (1, 0, None)


def test_results_stand_before_previews_and_pictures_before_text() -> None:
    ranked = [
        {"images": [file("kept.png", "output")]},
        {"images": [file("temp.png", "temp")]},
        {"files": [file("notes.txt", "output")]},
        {"text": ["said"]},
    ]
    for first in range(len(ranked)):
        outputs = {str(i): ui for i, ui in reversed(list(enumerate(ranked)))}
        for better in range(first):
            del outputs[str(better)]
        assert preview(outputs)["nodeId"] == str(first)


def test_of_equal_items_the_first_is_shown() -> None:
    outputs = {"b": {"images": [file("1.png"), file("2.png")]}, "a": {"images": [file("3.png")]}}

    assert preview(outputs)["filename"] == "1.png"


def test_a_long_text_is_cut() -> None:
    short = preview({"1": {"text": ["hello"]}})
    long = preview({"1": {"text": ["x" * 2000]}})

    assert short == {"content": "hello", "nodeId": "1", "mediaType": "text"}
    assert len(long["content"]) == 1024 and long["truncated"] is True


def test_the_name_of_a_3d_file_is_an_item() -> None:
    outputs = {"1": {"result": ["Scene.glb", None, "some text"]}}
    item = {"filename": "Scene.glb", "type": "output", "subfolder": "", "mediaType": "3d"}

    summary = summarise(outputs)

    assert (summary.count, summary.previewable_count) == (1, 1)
    assert preview(outputs) == item | {"nodeId": "1"}


def test_the_error_of_a_failed_job_is_that_of_its_last_message() -> None:
    messages = [["execution_start", {}], ["execution_error", {"node_id": "3"}], ["later", {}]]
    for state, error in ((JobState.FAILED, b'{"node_id":"3"}'), (JobState.INTERRUPTED, None)):
        result = Result(state=state, messages=json_text.encode(messages))
        found = JobSummary.of(result).shown_error
        assert (None if found is None else bytes(found)) == error


@pytest.mark.parametrize("text", ['{"count":', '{"count":"x"}', "\x00", None])
def test_a_summary_that_cannot_be_read_is_an_empty_one(text: str | None) -> None:
    assert JobSummary.read(text) == JobSummary()


def test_a_summary_comes_back_as_it_was_stored() -> None:
    summary = summarise({"7": {"images": [file()], "numbers": [1 << 70]}})
    assert JobSummary.read(summary.text()) == summary
