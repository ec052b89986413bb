"""What a browser may show of stored files."""

from __future__ import annotations

import pytest

from server.content import content_headers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", "image/png"),
        ("a.webp", "image/webp"),
        ("a.jpg", "image/jpeg"),
        ("a.mp4", "video/mp4"),
        ("a.webm", "video/webm"),
        ("a.flac", "audio/flac"),
        ("a.glb", "model/gltf-binary"),
        ("a.txt", "text/plain"),
        ("a.json", "application/json"),
        ("a.latent", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_passive_files_are_shown(name: str, expected: str) -> None:
    headers = content_headers(name)
    assert headers["Content-Type"] == expected
    assert headers["Content-Disposition"] == f'filename="{name}"'
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["a.html", "a.HTM", "a.xhtml", "a.svg", "a.svgz", "a.js", "a.mjs", "a.css", "a.xml"]
)
def test_active_files_are_downloads(name: str) -> None:
    headers = content_headers(name)
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment;")


def test_a_name_cannot_break_out_of_the_header() -> None:
    value = content_headers('a"\r\nX: y\\.png')["Content-Disposition"]
    assert value == 'filename="a___X: y_.png"'
