"""The demo command: what counts as a picture, and that it says what went wrong."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from PIL import Image

from server import demo
from server.demo_client import DrawingFailed
from server.demo_process import PortInUse, find_port

EXAMPLE = Path(__file__).parents[2] / "examples/text_to_image.json"


def save(path: Path, color: tuple[int, int, int], *, dot: bool) -> Path:
    image = Image.new("RGB", (32, 32), color)
    if dot:
        image.paste((255, 255, 255), (8, 8, 16, 16))
    image.save(path)
    return path


def test_a_picture_with_something_on_it_passes(tmp_path: Path) -> None:
    demo.check_picture(save(tmp_path / "a.png", (200, 0, 0), dot=True), (32, 32))


def test_one_flat_colour_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(DrawingFailed, match="one flat colour"):
        demo.check_picture(save(tmp_path / "a.png", (0, 0, 0), dot=False), (32, 32))


def test_a_picture_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DrawingFailed, match=r"\(32, 32\)"):
        demo.check_picture(save(tmp_path / "a.png", (200, 0, 0), dot=True), (64, 64))


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"not a PNG")
    with pytest.raises(DrawingFailed, match="cannot be read"):
        demo.check_picture(path, (32, 32))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DrawingFailed, match="cannot be read"):
        demo.check_picture(tmp_path / "none.png", (32, 32))


def test_the_demo_draws_the_published_example() -> None:
    assert demo.starter_workflow() == json.loads(EXAMPLE.read_text(encoding="utf-8"))


def test_a_text_of_ones_own_replaces_only_what_is_drawn() -> None:
    workflow = demo.starter_workflow("two pink hearts")
    before = demo.starter_workflow()
    changed = [name for name in workflow if workflow[name] != before[name]]
    assert [workflow[name]["inputs"]["text"] for name in changed] == ["two pink hearts"]


def test_a_busy_port_is_named_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"port {port} on 127.0.0.1 is in use.*PORT="):
            find_port("127.0.0.1", port)


def test_the_command_fails_when_the_port_is_busy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        flags = ("--once", "--port", str(port), "--base-directory", str(tmp_path / "base"))
        assert demo.main(flags) == 1
    assert f"port {port}" in capsys.readouterr().out


def test_port_zero_finds_a_free_port() -> None:
    assert find_port("127.0.0.1", 0) > 0
