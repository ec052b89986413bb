"""GET /view, POST /upload/image and /upload/mask ."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from PIL import Image

from tests.client import Client
from tests.server.conftest import Place


def png(colour: tuple[int, ...] = (255, 0, 0), size: tuple[int, int] = (4, 4)) -> bytes:
    buffer = io.BytesIO()
    mode = "RGBA" if len(colour) == 4 else "RGB"
    Image.new(mode, size, colour).save(buffer, "PNG")
    return buffer.getvalue()


FORM = "multipart/form-data; boundary=b"


def form(disposition: bytes, content: bytes) -> bytes:
    """A multipart body with one part."""
    head = b"--b\r\nContent-Disposition: form-data; " + disposition
    return head + b"\r\n\r\n" + content + b"\r\n--b--\r\n"


@pytest.fixture
def name() -> str:
    """A file name that no other test uses."""
    return f"{uuid.uuid4().hex}.png"


def test_an_upload_can_be_viewed(server: Client, name: str) -> None:
    reply = server.upload("/upload/image", name, png())
    assert reply.status == 200
    assert reply.json() == {"name": name, "subfolder": "", "type": "input"}
    view = server.get("/view", filename=name, type="input")
    assert (view.status, view.body) == (200, png())
    assert view.headers["content-type"] == "image/png"
    assert view.headers["content-disposition"] == f'filename="{name}"'


def test_equal_content_under_a_taken_name_is_not_stored_again(server: Client, name: str) -> None:
    server.upload("/upload/image", name, png())
    assert server.upload("/upload/image", name, png()).json()["name"] == name


def test_other_content_under_a_taken_name_gets_a_number(server: Client, name: str) -> None:
    stem = name.removesuffix(".png")
    server.upload("/upload/image", name, png((1, 1, 1)))
    names = [server.upload("/upload/image", name, png((i, 0, 0))).json()["name"] for i in (2, 3, 2)]
    assert names == [f"{stem} (1).png", f"{stem} (2).png", f"{stem} (1).png"]


@pytest.mark.parametrize(("value", "replaced"), [("true", True), ("1", True), ("True", False)])
def test_overwrite_replaces(server: Client, name: str, value: str, replaced: bool) -> None:
    server.upload("/upload/image", name, png((1, 1, 1)))
    answer = server.upload("/upload/image", name, png((2, 2, 2)), overwrite=value).json()
    assert (answer["name"] == name) is replaced


def test_a_subfolder_is_made(server: Client, name: str) -> None:
    answer = server.upload("/upload/image", name, png(), subfolder="a/b", type="temp").json()
    assert answer == {"name": name, "subfolder": "a/b", "type": "temp"}
    assert server.get("/view", filename=name, subfolder="a/b", type="temp").body == png()


def test_any_content_is_taken(server: Client) -> None:
    name = f"{uuid.uuid4().hex}.bin"
    server.upload("/upload/image", name, b"\x00\x01")
    view = server.get("/view", filename=f"{name} [input]")
    assert (view.body, view.headers["content-type"]) == (b"\x00\x01", "application/octet-stream")


def test_a_large_upload_arrives_whole(server: Client, name: str) -> None:
    content = bytes(range(256)) * 40_000
    server.upload("/upload/image", name, content)
    assert server.get("/view", filename=name, type="input").body == content


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("../x.png", {}),
        ("/etc/x.png", {}),
        ("x.png", {"subfolder": "../.."}),
        ("x.png", {"subfolder": "/etc"}),
        ("x.png", {"type": "models"}),
        ("x.png", {"type": "user"}),
        ("nowhere/x.png", {}),
        ("", {}),
        (".", {}),
        ("..", {}),
        ("x/", {}),
        ("n" * 300 + ".png", {}),
        ("x\0.png", {}),
    ],
)
def test_a_bad_target_is_refused(
    server: Client, place: Place, name: str, fields: dict[str, str]
) -> None:
    before = sorted(place.base.parent.rglob("*.png"))
    reply = server.upload("/upload/image", name, png(), **fields)
    assert reply.status == 400, reply.body
    assert reply.json()["error"]["message"]
    assert str(place.base) not in reply.body.decode()  # where the folders lie is not told
    assert sorted(place.base.parent.rglob("*.png")) == before


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"{}", "application/json"),
        (b"", FORM),
        (b"rubbish", FORM),
        (b"x", "multipart/form-data"),
        (form(b'name="image"', b"text"), FORM),  # text in place of a file
        (form(b'name="other"', b"text"), FORM),
        (form(b'name="image"; filename="x"', b"cut off")[:-8], FORM),
    ],
)
def test_a_body_without_a_file_is_refused(server: Client, body: bytes, kind: str) -> None:
    reply = server.request("POST", "/upload/image", body, {"Content-Type": kind})
    assert reply.status == 400, reply.body


def test_a_mask_becomes_the_alpha_of_a_copy(server: Client, name: str) -> None:
    server.upload("/upload/image", name, png((9, 8, 7)))
    reference = json.dumps({"filename": name, "type": "input"})
    answer = server.upload(
        "/upload/mask", f"mask-{name}", png((0, 0, 0, 55)), original_ref=reference, subfolder="clip"
    ).json()
    assert answer == {"name": f"mask-{name}", "subfolder": "clip", "type": "input"}
    stored = server.view({"filename": answer["name"], "subfolder": "clip", "type": "input"})
    assert Image.open(io.BytesIO(stored)).getpixel((0, 0)) == (9, 8, 7, 55)


@pytest.mark.parametrize(
    ("reference", "status"),
    [
        (None, 400),
        ("nope", 400),
        ("[]", 400),
        ("{}", 400),
        ('{"filename": 5}', 400),
        ('{"filename": "../../x.png", "type": "input"}', 400),
        ('{"filename": "x.png", "type": "models"}', 400),
        ('{"filename": "x.png", "subfolder": "../..", "type": "input"}', 400),
        ('{"filename": "not-there.png", "type": "input"}', 404),
    ],
)
def test_a_mask_without_a_good_original_is_refused(
    server: Client, name: str, reference: str | None, status: int
) -> None:
    fields = {} if reference is None else {"original_ref": reference}
    reply = server.upload("/upload/mask", name, png((0, 0, 0, 1)), **fields)
    assert reply.status == status, reply.body
    assert server.get("/view", filename=name, type="input").status == 404


def test_a_mask_on_what_is_no_image_is_refused_without_telling_paths(
    server: Client, name: str
) -> None:
    server.upload("/upload/image", name, b"text")
    reference = json.dumps({"filename": name, "type": "input"})
    reply = server.upload("/upload/mask", f"m-{name}", png((0, 0, 0, 1)), original_ref=reference)
    assert (reply.status, reply.json()["error"]["details"]) == (400, "its format is not known")


def test_a_reference_to_the_original_that_is_no_json_names_its_field(
    server: Client, name: str
) -> None:
    reply = server.upload("/upload/mask", name, png((0, 0, 0, 1)), original_ref="nope")
    assert reply.json()["error"]["extra_info"] == {"field": "original_ref"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 404),
        ({"filename": "not-there.png"}, 404),
        ({"filename": ""}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": "../x.png"}, 400),
        ({"filename": "a..b.png"}, 400),
        ({"filename": "x.png", "type": "models"}, 400),
        ({"filename": "x\0.png"}, 400),
        ({"filename": "x.png", "subfolder": "../.."}, 403),
        ({"filename": "x.png", "subfolder": "/etc"}, 403),
        ({"filename": "input", "subfolder": "..", "type": "output"}, 403),
    ],
)
def test_view_refuses_what_it_must(server: Client, query: dict[str, str], status: int) -> None:
    assert server.get("/view", **query).status == status  # type: ignore[arg-type]


def test_only_the_last_part_of_a_name_counts(server: Client, name: str) -> None:
    server.upload("/upload/image", name, png())
    assert server.get("/view", filename=f"some/where/{name}", type="input").body == png()


def test_parts_of_a_file_and_conditional_answers(server: Client, name: str) -> None:
    server.upload("/upload/image", name, png())
    query = f"/view?filename={name}&type=input"
    whole = server.get(query)
    part = server.get(query, {"Range": "bytes=1-3"})
    assert (part.status, part.body) == (206, png()[1:4])
    assert server.get(query, {"If-None-Match": whole.headers["etag"]}).status == 304
    assert server.get(query, {"If-Modified-Since": whole.headers["last-modified"]}).status == 304
    for tag, status in (
        (whole.headers["etag"], 206),
        ('"of-another"', 200),
        ("W/" + whole.headers["etag"], 200),
        (whole.headers["last-modified"], 206),
    ):
        reply = server.get(query, {"Range": "bytes=1-3", "If-Range": tag})
        assert (reply.status, reply.body) == (status, png()[1:4] if status == 206 else png()), tag
    head = server.request("HEAD", query)
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(png())), b"")


def test_a_compressed_neighbour_is_not_sent_instead(server: Client, name: str) -> None:
    server.upload("/upload/image", name, png())
    server.upload("/upload/image", f"{name}.gz", b"something else")
    reply = server.get(f"/view?filename={name}&type=input", {"Accept-Encoding": "gzip"})
    assert reply.body == png()


def test_previews_and_channels(server: Client, name: str) -> None:
    server.upload("/upload/image", name, png((10, 20, 30, 40)))
    image = {"filename": name, "type": "input"}
    preview = server.get("/view", **image, preview="webp;50")  # type: ignore[arg-type]
    assert preview.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(preview.body)).format == "WEBP"
    rgb = Image.open(io.BytesIO(server.view(image, channel="rgb")))
    assert (rgb.mode, rgb.getpixel((0, 0))) == ("RGB", (10, 20, 30))
    alpha = Image.open(io.BytesIO(server.view(image, channel="a")))
    assert alpha.getpixel((0, 0)) == (0, 0, 0, 40)


@pytest.mark.parametrize(
    "content", [b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"]
)
def test_a_preview_of_what_is_no_image_is_refused(
    server: Client, name: str, content: bytes
) -> None:
    server.upload("/upload/image", name, content)
    for more in ({"preview": "webp"}, {"channel": "rgb"}):
        reply = server.get("/view", filename=name, type="input", **more)  # type: ignore[arg-type]
        assert reply.status == 400
        assert "/" not in reply.json()["error"]["details"], "a path of the server"


@pytest.mark.parametrize("extension", ["html", "svg", "js", "xml", "xhtml"])
def test_active_content_is_a_download(server: Client, extension: str) -> None:
    name = f"{uuid.uuid4().hex}.{extension}"
    server.upload("/upload/image", name, b"<script>alert(1)</script>")
    headers = server.get("/view", filename=name, type="input").headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"].startswith("attachment")
    assert headers["x-content-type-options"] == "nosniff"


def test_a_body_over_the_limit_is_refused(new_twin: Callable[..., Client]) -> None:
    client = new_twin(max_upload_size=0.5)
    too_much = b"x" * 600_000
    for reply in (
        client.upload("/upload/image", "a.bin", too_much),
        client.post("/prompt", b'{"prompt": "' + too_much + b'"}'),
    ):
        assert reply.status == 413
        assert reply.json()["error"]["type"] == "too_large"
    assert client.upload("/upload/image", "a.bin", b"x" * 400_000).status == 200
    assert client.get("/features").json()["max_upload_size"] == 512 * 1024


def test_files_from_elsewhere_on_the_disk_are_not_uploaded_over(
    server: Client, place: Place
) -> None:
    secret = place.base / "secret.txt"
    secret.write_text("keep")
    server.upload("/upload/image", "../secret.txt", b"changed", overwrite="true")
    assert secret.read_text() == "keep"
    assert Path(place.base / "input").is_dir()


def test_names_that_no_file_system_takes_are_missing_files(server: Client, name: str) -> None:
    long = "a" * 400
    assert server.get("/view", filename=long).status == 404
    assert server.get("/view", filename=name, subfolder=long).status == 404
    reference = json.dumps({"filename": long})
    reply = server.upload("/upload/mask", name, png(), original_ref=reference)
    assert reply.status == 404


def test_a_quality_of_many_digits_is_none(server: Client, name: str) -> None:
    server.upload("/upload/image", name, png())
    view = server.get("/view", filename=name, type="input", preview="webp;" + "9" * 5000)
    assert (view.status, view.headers["content-type"]) == (200, "image/webp")


def test_two_files_in_one_form_are_refused(server: Client) -> None:
    part = form(b'name="image"; filename="x"', b"A").removesuffix(b"--b--\r\n")
    body = part + form(b'name="image"; filename="y"', b"B")
    reply = server.request("POST", "/upload/image", body, {"Content-Type": FORM})
    assert (reply.status, reply.json()["error"]["extra_info"]) == (400, {"field": "image"})


def test_the_fields_of_a_form_count_towards_the_limit(new_twin: Callable[..., Client]) -> None:
    part = form(b'name="f"', b"A" * 1000).removesuffix(b"--b--\r\n")
    pieces = (part.replace(b'"f"', b'"%d"' % i) for i in range(20))  # sent without a length
    connection = HTTPConnection(new_twin(max_upload_size=0.01).address.partition("//")[2])
    with closing(connection):
        connection.request(
            "POST", "/upload/image", pieces, {"Content-Type": FORM}, encode_chunked=True
        )
        assert connection.getresponse().status == 413


def test_a_body_that_is_not_encoded_as_it_says_is_refused(server: Client) -> None:
    reply = server.request("POST", "/prompt", b"{}", {"Content-Encoding": "gzip"})
    assert reply.status == 400
