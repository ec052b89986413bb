"""The rows about `/view` and uploads that tests/server leaves open."""

from __future__ import annotations

import io
import uuid

import pytest
from PIL import Image

from tests.client import Client, Reply


def picture(mode: str = "RGBA") -> bytes:
    buffer = io.BytesIO()
    colour = (10, 20, 30, 40)[: len(mode)]
    Image.new(mode, (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def stored(server: Client, content: bytes, extension: str = "png") -> str:
    name = f"{uuid.uuid4().hex}.{extension}"
    assert server.upload("/upload/image", name, content).json()["name"] == name
    return name


def view(server: Client, name: str, **query: str) -> Reply:
    reply = server.get("/view", None, filename=name, type="input", **query)
    assert reply.status == 200, reply.body
    return reply


def decoded(reply: Reply) -> Image.Image:
    return Image.open(io.BytesIO(reply.body))


def test_output_is_the_default_folder(server: Client) -> None:
    name = f"{uuid.uuid4().hex}.png"
    server.upload("/upload/image", name, picture(), type="output")
    assert server.get("/view", filename=name).body == picture()
    assert server.get("/view", filename=name, type="temp").status == 404


def test_an_annotation_goes_before_the_type(server: Client) -> None:
    name = stored(server, picture())
    assert server.get("/view", filename=f"{name} [input]", type="temp").body == picture()


@pytest.mark.parametrize(
    ("preview", "kind"),
    [("webp", "WEBP"), ("jpeg", "JPEG"), ("jpeg;50", "JPEG"), ("bmp", "WEBP"), ("webp;x", "WEBP")],
)
def test_a_preview_is_webp_unless_it_is_jpeg(server: Client, preview: str, kind: str) -> None:
    reply = view(server, stored(server, picture("RGB")), preview=preview, channel="rgb")
    assert decoded(reply).format == kind
    assert reply.headers["content-type"] == f"image/{kind.lower()}"


def test_a_preview_that_keeps_alpha_is_webp(server: Client) -> None:
    name = stored(server, picture())
    assert decoded(view(server, name, preview="jpeg", channel="rgba")).format == "WEBP"
    assert decoded(view(server, name, preview="jpeg", channel="rgb")).format == "JPEG"


@pytest.mark.parametrize("channel", ["rgba", "nonsense", ""])
def test_any_other_channel_is_the_file_as_it_is(server: Client, channel: str) -> None:
    assert view(server, stored(server, picture()), channel=channel).body == picture()


def test_the_alpha_of_a_file_without_is_white(server: Client) -> None:
    alpha = decoded(view(server, stored(server, picture("RGB")), channel="a"))
    assert alpha.getpixel((0, 0)) == (0, 0, 0, 255)


def test_headers_of_a_file_as_it_is(server: Client) -> None:
    name = stored(server, picture())
    headers = view(server, name).headers
    assert headers["content-disposition"] == f'filename="{name}"'
    assert headers["content-type"] == "image/png"
    assert headers["x-content-type-options"] == "nosniff"
    assert {"etag", "last-modified", "accept-ranges"} <= set(headers)
    assert "cache-control" not in headers


def test_headers_of_a_picture_that_was_made_anew(server: Client) -> None:
    name = stored(server, picture())
    headers = view(server, name, preview="webp").headers
    assert headers["content-disposition"] == f'filename="{name}"'
    assert not {"etag", "last-modified", "accept-ranges", "cache-control"} & set(headers)


@pytest.mark.parametrize("extension", ["bin", "weird", "tar.gz"])
def test_what_has_no_known_type_is_bytes(server: Client, extension: str) -> None:
    headers = view(server, stored(server, b"\x00", extension)).headers
    assert headers["content-type"] == "application/octet-stream"


def test_a_part_that_is_not_there(server: Client) -> None:
    name = stored(server, picture())
    reply = server.get(f"/view?filename={name}&type=input", {"Range": "bytes=99999-"})
    assert reply.status == 416
    assert reply.headers["content-range"] == f"bytes */{len(picture())}"


def test_the_answer_to_an_upload_has_three_keys(server: Client) -> None:
    reply = server.upload("/upload/image", f"{uuid.uuid4().hex}.png", b"x", subfolder="one/two")
    assert list(reply.json()) == ["name", "subfolder", "type"]
    assert (reply.json()["subfolder"], reply.json()["type"]) == ("one/two", "input")


@pytest.mark.parametrize("kind", ["input", "output", "temp"])
def test_an_upload_may_go_to_any_of_the_three_folders(server: Client, kind: str) -> None:
    name = f"{uuid.uuid4().hex}.png"
    assert server.upload("/upload/image", name, b"x", type=kind).json()["type"] == kind
    assert server.get("/view", filename=f"{name} [{kind}]").body == b"x"
