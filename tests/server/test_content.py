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
        ("a.pdf", "application/pdf"),
        ("a.zip", "application/zip"),
        ("a.txt.gz", "application/octet-stream"),
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
    "name",
    [
        *("a.html", "a.HTM", "a.xhtml", "a.svg", "a.svgz", "a.js", "a.mjs", "a.css", "a.xml"),
        *("a.rss", "a.xsl", "a.eml", "a.html.gz"),
    ],
)
def test_active_files_are_downloads(name: str) -> None:
    headers = content_headers(name)
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert headers["Vary"] == "Sec-Fetch-Dest"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "content_type", ["TEXT/HTML; charset=utf-8", "image/svg+xml", "application/atom+xml"]
)
def test_a_type_is_active_whatever_its_parameters_and_case(content_type: str) -> None:
    assert content_headers("a", content_type)["Content-Type"] == "application/octet-stream"


def test_an_svg_that_is_asked_for_as_a_picture_is_shown() -> None:
    headers = content_headers("a.svg", destination="image")
    assert headers["Content-Type"] == "image/svg+xml"
    assert headers["Content-Disposition"] == 'filename="a.svg"'
    assert headers["Vary"] == "Sec-Fetch-Dest"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("destination", ["document", "iframe", "object", "empty"])
def test_an_svg_that_is_asked_for_otherwise_is_a_download(destination: str) -> None:
    headers = content_headers("a.svg", destination=destination)
    assert headers["Content-Disposition"].startswith("attachment;")


def test_other_active_files_are_downloads_also_where_a_picture_is_asked_for() -> None:
    headers = content_headers("a.html", destination="image")
    assert headers["Content-Disposition"].startswith("attachment;")


def test_a_name_cannot_break_out_of_the_header() -> None:
    value = content_headers('a"\r\nX: y\\.png')["Content-Disposition"]
    assert value == 'filename="a\\"__X: y\\\\.png"'
