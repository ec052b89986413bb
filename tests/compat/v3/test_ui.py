"""What V3 nodes save and show: the files are there, with what belongs in them."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from tests.compat.v3.bench import V3Bench
from tests.executor.worker.harness import node

EXTRA = {"extra_pnginfo": {"workflow": {"id": "w"}}}


def opened(path: Path) -> Any:
    """A picture, read at once."""
    return Image.open(io.BytesIO(path.read_bytes()))


def saving(kind: str, count: int = 1) -> dict[str, Any]:
    return {
        "1": node("V3Gradient", width=16, height=8, count=count),
        "2": node("V3Save", images=["1", 0], filename_prefix="sub/pic_%width%", kind=kind),
    }


def showing(kind: str, maker: str = "V3Gradient", output: int = 0, **inputs: Any) -> dict[str, Any]:
    return {
        "1": node(maker, **inputs),
        "2": node("V3Show", value=["1", output], kind=kind),
    }


async def test_saved_images_are_numbered_files_with_the_workflow_inside(bench: V3Bench) -> None:
    outputs = (await bench.run(saving("png", count=2), extra_data=EXTRA)).finished.outputs
    assert outputs["2"] == {
        "images": [
            {"filename": f"pic_16_0000{i}_.png", "subfolder": "sub", "type": "output"}
            for i in (1, 2)
        ]
    }
    picture = opened(bench.folders.output / "sub" / "pic_16_00002_.png")
    assert picture.size == (16, 8)
    assert json.loads(picture.text["prompt"])["1"]["class_type"] == "V3Gradient"
    assert json.loads(picture.text["workflow"]) == {"id": "w"}


async def test_no_workflow_is_written_where_that_is_off(bench: V3Bench) -> None:
    bench.settings = replace(bench.settings, disable_metadata=True)
    await bench.run(saving("png"), extra_data=EXTRA)
    picture = opened(bench.folders.output / "sub" / "pic_16_00001_.png")
    assert picture.text == {}


async def test_a_moving_png_has_the_workflow_after_the_pictures(bench: V3Bench) -> None:
    outputs = (await bench.run(saving("apng", count=3), extra_data=EXTRA)).finished.outputs
    assert outputs["2"]["animated"] == [True]
    path = bench.folders.output / "sub" / outputs["2"]["images"][0]["filename"]
    assert getattr(opened(path), "n_frames", 1) >= 1
    chunks = dict(data.split(b"\0", 1) for kind, data in png_chunks(path) if kind == b"comf")
    assert json.loads(chunks[b"prompt"])["2"]["class_type"] == "V3Save"
    assert json.loads(chunks[b"workflow"]) == {"id": "w"}
    kinds = [kind for kind, _ in png_chunks(path)]
    assert kinds.index(b"comf") > kinds.index(b"IDAT")


def png_chunks(path: Path) -> list[tuple[bytes, bytes]]:
    content = path.read_bytes()
    at, found = 8, []
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += length + 12
    return found


async def test_a_moving_webp_has_the_workflow_in_its_exif(bench: V3Bench) -> None:
    outputs = (await bench.run(saving("webp"), extra_data=EXTRA)).finished.outputs
    assert outputs["2"]["images"][0]["filename"] == "pic_16_00001_.webp"
    exif = opened(bench.folders.output / "sub" / "pic_16_00001_.webp").getexif()
    assert json.loads(exif[0x0110].removeprefix("prompt:"))["1"]["class_type"] == "V3Gradient"
    assert exif[0x010F] == 'workflow:{"id": "w"}'


async def test_shown_images_are_in_the_temp_folder(bench: V3Bench) -> None:
    shown = (await bench.run(showing("image", width=16, height=8))).finished.outputs["2"]
    assert shown["animated"] == [False]
    (entry,) = shown["images"]
    assert entry["type"] == "temp"
    assert entry["filename"].startswith("ComfyUI_temp_")
    assert opened(bench.folders.temp / entry["filename"]).size == (16, 8)


async def test_nodes_in_the_middle_of_a_graph_may_show_images(bench: V3Bench) -> None:
    graph = {
        "1": node("V3Gradient", width=16, height=8),
        "2": node("V3Blend", first=["1", 0], second=["1", 0], factor=1, mode="multiply"),
        "3": node("Show", value=["2", 0]),
    }
    outputs = (await bench.run(graph)).finished.outputs
    (entry,) = outputs["2"]["images"]
    picture = opened(bench.folders.temp / entry["filename"])
    assert picture.getpixel((15, 0)) == (255, 255, 255)


async def test_shown_masks_are_grey_images(bench: V3Bench) -> None:
    graph = showing("mask", output=1, width=16, height=8)
    (entry,) = (await bench.run(graph)).finished.outputs["2"]["images"]
    picture = opened(bench.folders.temp / entry["filename"])
    red, green, blue = picture.getpixel((7, 0))
    assert 0 < red == green == blue < 255


async def test_shown_sound_is_a_flac_file(bench: V3Bench) -> None:
    graph = showing("audio", "V3Tone", seconds=0.25, rate=44100)
    (entry,) = (await bench.run(graph)).finished.outputs["2"]["audio"]
    with av.open(str(bench.folders.temp / entry["filename"])) as file:
        assert file.streams.audio[0].codec_context.name == "flac"
        assert sum(frame.samples for frame in file.decode(audio=0)) == 11025


@pytest.mark.parametrize(
    ("format", "quality", "codec", "rate", "saved_rate"),
    [
        ("flac", "", "flac", 44100, 44100),
        ("mp3", "V0", "mp3float", 44100, 44100),
        ("mp3", "320k", "mp3float", 20000, 22050),
        ("opus", "96k", "opus", 44100, 48000),
    ],
)
async def test_sound_is_saved_with_the_workflow(
    bench: V3Bench, format: str, quality: str, codec: str, rate: int, saved_rate: int
) -> None:
    graph = {
        "1": node("V3Tone", seconds=0.5, rate=rate),
        "2": node("V3SaveAudio", audio=["1", 0], format=format, quality=quality),
    }
    (entry,) = (await bench.run(graph, extra_data=EXTRA)).finished.outputs["2"]["audio"]
    assert entry == {"filename": f"v3_00001_.{format}", "subfolder": "audio", "type": "output"}
    with av.open(str(bench.folders.output / "audio" / entry["filename"])) as file:
        stream = file.streams.audio[0]
        assert codec in stream.codec_context.codec.name or codec == "opus"
        assert stream.rate == saved_rate
        texts = {**file.metadata, **stream.metadata}
        decoded = sum(frame.samples for frame in file.decode(audio=0)) / saved_rate
    assert decoded == pytest.approx(0.5, abs=0.08)
    prompt = next(value for key, value in texts.items() if key.lower() == "prompt")
    assert json.loads(prompt)["1"]["class_type"] == "V3Tone"


async def test_text_is_shown(bench: V3Bench) -> None:
    graph = showing("text", "V3Checked", a=4)
    assert (await bench.run(graph)).finished.outputs["2"] == {"text": ["4"]}


async def test_videos_are_shown_as_moving_images(bench: V3Bench) -> None:
    graph = showing("video", "V3Checked", a=4)
    assert (await bench.run(graph)).finished.outputs["2"] == {
        "images": [{"filename": "a.mp4", "subfolder": "", "type": "output"}],
        "animated": [True],
    }


async def test_models_are_shown_with_their_camera(bench: V3Bench) -> None:
    graph = showing("3d", "V3Checked", a=4)
    assert (await bench.run(graph)).finished.outputs["2"] == {
        "result": ["model.glb", {"fov": 40}, None]
    }
