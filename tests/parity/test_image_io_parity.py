"""Reading and writing of images against the reference."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from safetensors import safe_open

from executor.worker.reporting import plain_json
from nodes.loaded_images import read_image, read_mask
from nodes.registry import NODE_CLASSES
from nodes.saving import PreviewImage, SaveImage
from tests.nodes.context import node_context
from tests.parity import loader
from tests.parity.report import Check, ParityReport


def _compare(check: Check, case: loader.Case, key: str, actual: torch.Tensor) -> None:
    """Check against the case's value or the alternative it accepts."""
    other = case.get("also_accept", {}).get(key)
    expected = case[key]
    if other is not None and loader.difference(actual, other) <= case["atol"]:
        expected = other
    check(actual.numpy(), expected)


def _same(check: Check, actual: object, expected: object) -> None:
    """Check values that are no numbers."""
    assert actual == expected
    check(np.zeros(1), np.zeros(1))


def _load_image(case: loader.Case, check: Check, base: Path) -> None:
    image, mask = read_image(case["path"])
    _compare(check, case, "image", image)
    _compare(check, case, "mask", mask)


def _load_image_mask(case: loader.Case, check: Check, base: Path) -> None:
    _compare(check, case, "mask", read_mask(case["path"], case["channel"]))


def _save_names(case: loader.Case, check: Check, base: Path) -> None:
    with node_context(base) as folders:
        for name in case["existing"]:
            path = folders.output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir()
            else:
                path.write_bytes(b"")
        before = _files(folders.output)
        images = torch.zeros(case["batch"], case["height"], case["width"], 3)
        result = SaveImage().run(images, case["filename_prefix"])
        _same(check, result["ui"]["images"], case["results"])
        _same(check, sorted(_files(folders.output) - before), case["new_files"])


def _files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def _save_pixels(case: loader.Case, check: Check, base: Path) -> None:
    with node_context(base) as folders:
        image = torch.from_numpy(case["image"])
        batch = image if image.ndim == 4 else image[None]
        result = SaveImage().run(
            batch, "x", prompt=case["prompt"], extra_pnginfo=case["extra_pnginfo"]
        )
        with Image.open(folders.output / result["ui"]["images"][0]["filename"]) as saved:
            assert saved.mode == case["png_mode"]
            assert getattr(saved, "text", {}) == case["text"]
            pixels = np.array(saved)
        check(pixels.astype(np.float32), case["png_uint8"].astype(np.float32).reshape(pixels.shape))


def _preview_name(case: loader.Case, check: Check, base: Path) -> None:
    with node_context(base):
        entry: dict[str, Any] = PreviewImage().run(torch.zeros(1, 4, 4, 3))["ui"]["images"][0]
        assert re.match(case["pattern"], entry["filename"])
        _same(check, (entry["type"], entry["subfolder"]), (case["type"], case["subfolder"]))


def _save_animated(case: loader.Case, check: Check, base: Path) -> None:
    taken = {"SaveAnimatedPNG": "anim_00001_.webp"}.get(case["node"])
    with node_context(base) as folders:
        if taken is not None:
            (folders.output / taken).touch()
        result = NODE_CLASSES[case["node"]]().run(
            torch.from_numpy(case["images"]),
            "anim",
            **case["inputs"],
            prompt=case["prompt"],
            extra_pnginfo=case["extra_pnginfo"],
        )
        assert plain_json(result["ui"]) == case["ui"]
        path = folders.output / result["ui"]["images"][0]["filename"]
        with Image.open(path) as saved:
            assert getattr(saved, "n_frames", 1) == case["frames"]
            assert {hex(tag): text for tag, text in saved.getexif().items()} == case["exif"]
            assert sorted(saved.info) == case["info_keys"]
            first = np.array(saved.convert("RGB"))
            durations = [frame.info.get("duration") for frame in ImageSequence.Iterator(saved)]
        assert durations == case["duration"] or case["duration"] == [None] * case["frames"]
        if "chunks" in case:
            assert _chunks(path.read_bytes()) == case["chunks"]
        check(first.astype(np.float32), case["first_frame"].astype(np.float32))


def _chunks(png: bytes) -> list[list[Any]]:
    """The chunks of a PNG file that hold neither pixels nor frames: type, and text or size."""
    found: list[list[Any]] = []
    at = 8
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        name, content = png[at + 4 : at + 8].decode(), png[at + 8 : at + 8 + size]
        if name not in ("IDAT", "fdAT", "fcTL"):
            found.append([name, content.decode() if name == "comf" else size])
        at += size + 12
    return found


def _save_latent(case: loader.Case, check: Check, base: Path) -> None:
    with node_context(base) as folders:
        samples = {"samples": torch.arange(36.0).reshape(case["tensors"]["latent_tensor"])}
        result = NODE_CLASSES["SaveLatent"]().run(
            samples, "lat/x", prompt=case["prompt"], extra_pnginfo=case["extra_pnginfo"]
        )
        assert result["ui"] == case["ui"]
        path = folders.output / "lat" / "x_00001_.latent"
        with safe_open(path, "pt") as saved:
            assert saved.metadata() == case["metadata"]
            shapes = {key: saved.get_slice(key).get_shape() for key in saved.keys()}  # noqa: SIM118
        assert shapes == case["tensors"]
        (read,) = NODE_CLASSES["LoadLatent"]().run("lat/x_00001_.latent [output]")
        check(read["samples"].numpy(), samples["samples"].numpy())


KINDS = {
    "save_animated": _save_animated,
    "save_latent": _save_latent,
    "load_image": _load_image,
    "load_image_mask": _load_image_mask,
    "save_names": _save_names,
    "save_pixels": _save_pixels,
    "preview_name": _preview_name,
}


@pytest.mark.parametrize("case", loader.cases("image_io"), ids=lambda case: case["id"])
def test_files_are_read_and_written_as_by_the_reference(
    case: loader.Case,
    parity_report: ParityReport,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "localtime" in case:
        moment = time.strptime(case["localtime"], "%Y-%m-%d %H:%M:%S")
        monkeypatch.setattr(time, "localtime", lambda *_: moment)
    with parity_report.case("image_io", case) as check:
        KINDS[case["kind"]](case, check, tmp_path)
