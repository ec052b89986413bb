"""Which of a job's outputs are counted, and which one stands for it."""

from __future__ import annotations

from typing import Any

import pytest

from server.job_outputs import normalise, summarise


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

    assert (summary.count, summary.previewable_count, summary.preview) == (0, 0, None)


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
    assert summary.preview == item | {"nodeId": "7", "mediaType": key}


@pytest.mark.parametrize("item", [file("a.bin"), file("a", format="image/gif"), {"a": 1}])
def test_what_cannot_be_shown_is_only_counted(item: dict[str, Any]) -> None:
    summary = summarise({"7": {"gifs": [item]}})

    assert (summary.count, summary.previewable_count, summary.preview) == (1, 0, None)


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
        preview = summarise(outputs).preview
        assert preview is not None and preview["nodeId"] == str(first)


def test_of_equal_items_the_first_is_shown() -> None:
    outputs = {"b": {"images": [file("1.png"), file("2.png")]}, "a": {"images": [file("3.png")]}}

    preview = summarise(outputs).preview

    assert preview is not None and preview["filename"] == "1.png"


def test_a_long_text_is_cut() -> None:
    short = summarise({"1": {"text": ["hello"]}}).preview
    long = summarise({"1": {"text": ["x" * 2000]}}).preview

    assert short == {"content": "hello", "nodeId": "1", "mediaType": "text"}
    assert long is not None and len(long["content"]) == 1024 and long["truncated"] is True


def test_the_name_of_a_3d_file_is_an_item() -> None:
    outputs = {"1": {"result": ["Scene.glb", None, "some text"]}}
    item = {"filename": "Scene.glb", "type": "output", "subfolder": "", "mediaType": "3d"}

    summary = summarise(outputs)

    assert (summary.count, summary.previewable_count) == (1, 1)
    assert summary.preview == item | {"nodeId": "1"}
    assert normalise(outputs) == {"1": {"result": [item, "some text"]}}
