"""Reading and writing of images against the reference."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nodes.loaded_images import read_image, read_mask
from nodes.registry import NODE_CLASSES
from nodes.saving import PreviewImage, SaveImage
from tests.nodes.context import node_context
from tests.parity import loader
from tests.parity.report import Check, ParityReport

_NODES_OF_KIND = {"save_latent": "SaveLatent"}


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


KINDS = {
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
    kind = KINDS.get(case["kind"])
    if kind is None:
        node = case.get("node") or _NODES_OF_KIND[case["kind"]]
        assert node not in NODE_CLASSES
        parity_report.missing("image_io", case["id"], f"the node {node}")
        pytest.skip(f"there is no node {node}")
    if "localtime" in case:
        moment = time.strptime(case["localtime"], "%Y-%m-%d %H:%M:%S")
        monkeypatch.setattr(time, "localtime", lambda *_: moment)
    with parity_report.case("image_io", case) as check:
        kind(case, check, tmp_path)
