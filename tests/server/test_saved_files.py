"""Files that prompts save on a real server with two workers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import av
import pytest

from tests.client import Client, PromptFailed, wait_until
from tests.conftest import ServerProcess, start_server

Graph = dict[str, Any]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with two workers."""
    server = start_server(tmp_path_factory.mktemp("pair"), "--workers", "2")
    yield server
    server.stop()


def node(class_type: str, **inputs: Any) -> Graph:
    return {"class_type": class_type, "inputs": inputs}


def picture(colour: int, batch: int = 3, side: int = 256) -> Graph:
    return node("EmptyImage", width=side, height=side, batch_size=batch, color=colour)


def saving(colour: int, prefix: str = "same") -> Graph:
    graph = {"1": picture(2 * colour), "2": picture(2 * colour + 1)}
    saves = {
        f"save {source}": node("SaveImage", images=[source, 0], filename_prefix=prefix)
        for source in graph
    }
    return graph | saves


def running(client: Client) -> int:
    return len(client.get("/queue").json()["queue_running"])


def test_two_workers_never_take_the_same_name(pair: ServerProcess) -> None:
    client = pair.client
    submitted: list[str] = []

    def both_at_work() -> bool:
        while len(submitted) < 400 and len(client.get("/queue").json()["queue_pending"]) < 4:
            submitted.append(client.submit(saving(len(submitted))))
        return running(client) == 2

    wait_until(both_at_work, what="both workers save")
    submitted.extend(client.submit(saving(1000 + i)) for i in range(10))
    names = [
        entry["filename"]
        for prompt_id in submitted
        for output in client.wait(prompt_id)["outputs"].values()
        for entry in output["images"]
    ]
    assert len(names) == 6 * len(submitted)
    assert sorted(names) == [f"same_{i:05}_.png" for i in range(1, len(names) + 1)]
    files = [path.name for path in (pair.base / "output").iterdir()]
    assert sorted(name for name in files if name.startswith("same")) == sorted(names)
    assert not [name for name in files if name.startswith(".")]


def test_a_file_that_is_shown_is_there(pair: ServerProcess) -> None:
    client = pair.client
    with client.listen() as listener:
        graph = {"1": picture(7), "2": node("PreviewImage", images=["1", 0])}
        prompt_id = client.submit(graph)
        shown = listener.wait_for("executed", prompt_id)["output"]["images"]
        assert all(client.view(image).startswith(b"\x89PNG") for image in shown)
        listener.wait_for_end(prompt_id)


def test_a_file_that_cannot_be_written_fails_its_prompt(pair: ServerProcess) -> None:
    (pair.base / "output" / "taken").write_bytes(b"")
    with pytest.raises(PromptFailed, match="taken"):
        pair.client.run(saving(5, "taken/x"))
    with pytest.raises(PromptFailed, match="leads out of its folder"):
        pair.client.run(saving(5, "../x"))


def test_a_video_with_sound_is_made_uploaded_and_taken_apart(pair: ServerProcess) -> None:
    client = pair.client
    making = {
        "1": picture(0x336699, batch=4, side=64),
        "2": node("EmptyAudio", duration=0.5, sample_rate=16000, channels=1),
        "3": node("CreateVideo", images=["1", 0], fps=8.0, audio=["2", 0]),
        "4": node("SaveVideo", video=["3", 0], filename_prefix="v/x", format="auto", codec="auto"),
        "5": node("SaveAudio", audio=["2", 0], filename_prefix="a/x"),
    }
    outputs = client.run(making)["outputs"]
    assert outputs["4"]["animated"] == [True]
    (video,), (sound,) = outputs["4"]["images"], outputs["5"]["audio"]
    assert (video["filename"], sound["filename"]) == ("x_00001_.mp4", "x_00001_.flac")
    with av.open(io.BytesIO(client.view(sound))) as container:
        assert container.streams.audio[0].rate == 16000

    uploaded = client.upload("/upload/image", "film.mp4", client.view(video)).json()["name"]
    listed = client.get("/object_info/LoadVideo").json()["LoadVideo"]["input"]["required"]["file"]
    assert uploaded in listed[1]["options"]
    coding = {
        "format.codec": "av1",
        "format.codec.encoding": "re-encode",
        "format.codec.encoding.crf": 40,
    }
    again = {
        "1": node(
            "LoadVideo", file=uploaded, edit={"trim": {"start_time": 0.125, "duration": 0.25}}
        ),
        "2": node("SaveVideo", video=["1", 0], filename_prefix="v/y", format="mkv", **coding),
    }
    (recoded,) = client.run(again)["outputs"]["2"]["images"]
    with av.open(io.BytesIO(client.view(recoded)), "r") as container:
        assert container.format.name.startswith("matroska")
        assert container.streams.video[0].codec_context.codec.canonical_name == "av1"
        assert len(list(container.decode(video=0))) == 2
    reading = {
        "1": node("LoadVideo", file=uploaded),
        "2": node("GetVideoComponents", video=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix="frames"),
        "4": node("PreviewAny", source=["2", 2]),
        "5": node("PreviewAudio", audio=["2", 1]),
    }
    outputs = client.run(reading)["outputs"]
    assert len(outputs["3"]["images"]) == 4
    assert outputs["4"]["text"] == ["8.0"]
    assert outputs["5"]["audio"][0]["type"] == "temp"


@pytest.mark.parametrize(
    ("class_type", "name", "word"),
    [
        ("LoadVideo", "file", "video"),
        ("LoadAudio", "audio", "audio"),
        ("LoadLatent", "latent", "latent"),
    ],
)
def test_a_file_that_is_not_there_is_refused(
    pair: ServerProcess, class_type: str, name: str, word: str
) -> None:
    graph = {"1": node(class_type, **{name: "none.x"}), "2": node("PreviewAny", source=["1", 0])}
    errors = pair.client.post("/prompt", {"prompt": graph}).json()["node_errors"]["1"]["errors"]
    assert [error["type"] for error in errors] == ["custom_validation_failed"]
    assert errors[0]["details"] == f"{name} - Invalid {word} file: none.x"
