"""Model files over HTTP: lists, metadata, preview pictures."""

from __future__ import annotations

import base64
import io
import json
import os
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.client import Client
from tests.server.conftest import Place

KINDS = [
    *("checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models"),
    *("clip_vision", "style_models", "embeddings", "diffusers", "vae_approx", "controlnet"),
    *("gligen", "upscale_models", "latent_upscale_models", "custom_nodes", "hypernetworks"),
    *("photomaker", "classifiers", "model_patches", "audio_encoders"),
    *("background_removal", "frame_interpolation", "geometry_estimation", "optical_flow"),
    *("detection", "datasets", "fonts", "tokenizers"),
]


def picture(color: str, kind: str = "PNG", size: tuple[int, int] = (8, 4)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, format=kind)
    return buffer.getvalue()


def safetensors(metadata: object = None, *, padding: int = 0) -> bytes:
    header: dict[str, Any] = {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    if metadata is not None:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode() + b" " * padding
    return len(text).to_bytes(8, "little") + text + bytes(4)


def shown_color(body: bytes) -> tuple[int, ...]:
    with Image.open(io.BytesIO(body)) as image:
        assert image.format == "WEBP"
        color = image.convert("RGB").getpixel((1, 1))
    assert isinstance(color, tuple)
    return tuple(round(value / 255) for value in color)


RED, LIME, BLUE = (1, 0, 0), (0, 1, 0), (0, 0, 1)


@pytest.fixture
def loras(place: Place) -> Iterator[Path]:
    """The folder of LoRA files, emptied afterwards."""
    folder = place.base / "models" / "loras"
    yield folder
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def metadata_of(server: Client, name: str, kind: str = "loras") -> Any:
    reply = server.get(f"/view_metadata/{kind}", filename=name)
    assert reply.status in (200, 404), reply.body
    return reply.json() if reply.status == 200 else None


def preview_of(server: Client, name: str, index: object = 0, kind: str = "loras") -> bytes | None:
    path = f"/experiment/models/preview/{kind}/{index}/{name}"
    reply, prefixed = server.get(path), server.get("/api" + path)
    assert (reply.status, reply.body) == (prefixed.status, prefixed.body)
    if reply.status == 404:
        assert reply.json()["error"]["type"] == "not_found"
        return None
    assert (reply.status, reply.headers["content-type"]) == (200, "image/webp")
    return reply.body


def test_model_kinds_come_in_the_usual_order(server: Client) -> None:
    assert server.get("/models").json() == KINDS


@pytest.mark.parametrize("kind", ["nonsense", "unet", "clip", "..", "%2e%2e"])
def test_an_unknown_kind_or_an_old_alias_is_not_found(server: Client, kind: str) -> None:
    for path in (f"/models/{kind}", f"/experiment/models/{kind}", f"/view_metadata/{kind}"):
        assert server.get(path).status == 404


def test_fonts_and_datasets_lie_beside_the_models(server: Client, place: Place) -> None:
    for name in ("a.ttf", "b.OTF", "c.txt"):
        (place.base / "fonts" / name).touch()
    (place.base / "datasets" / "any.txt").touch()
    assert server.get("/models/fonts").json() == ["a.ttf", "b.OTF"]
    assert server.get("/models/datasets").json() == ["any.txt"]


def test_a_models_folder_of_its_own_replaces_the_usual_one(
    new_twin: Callable[..., Client], tmp_path: Path
) -> None:
    (tmp_path / "elsewhere" / "vae").mkdir(parents=True)
    (tmp_path / "elsewhere" / "vae" / "x.safetensors").touch()
    client = new_twin(models_directory=str(tmp_path / "elsewhere"))
    assert client.get("/models/vae").json() == ["x.safetensors"]
    assert not (tmp_path / "twin1" / "models").exists()


def test_folders_of_models_are_listed_by_kind(server: Client, place: Place) -> None:
    listed = server.get("/experiment/models").json()
    assert [entry["name"] for entry in listed] == [
        kind for kind in KINDS if kind not in ("configs", "custom_nodes")
    ]
    folders = {entry["name"]: entry["folders"] for entry in listed}
    models = place.base / "models"
    assert folders["controlnet"] == [str(models / "controlnet"), str(models / "t2i_adapter")]
    assert server.get("/api/experiment/models").json() == listed


def test_models_of_a_kind_are_described(server: Client, loras: Path, place: Place) -> None:
    (loras / "sub").mkdir()
    (loras / ".cache").mkdir()
    for name in ("sub/a.safetensors", ".hidden.safetensors", ".cache/b.safetensors", "note.txt"):
        (loras / name).write_bytes(b"four")
    also = place.base / "output" / "loras"
    also.mkdir(exist_ok=True)
    (also / "c.pt").write_bytes(b"x")
    status = (loras / "sub" / "a.safetensors").stat()
    first, second = server.get("/experiment/models/loras").json()
    assert first == {
        "name": "sub/a.safetensors",
        "pathIndex": 0,
        "modified": status.st_mtime,
        "created": status.st_ctime,
        "size": 4,
    }
    assert (second["name"], second["pathIndex"], second["size"]) == ("c.pt", 1, 1)
    (also / "c.pt").unlink()


def test_files_that_cannot_be_named_or_followed_are_left_out(server: Client, loras: Path) -> None:
    Path(os.fsdecode(os.fsencode(loras) + b"/\xff.safetensors")).touch()
    (loras / "loop").symlink_to("loop")
    (loras / "loop.pt").symlink_to("loop.pt")
    (loras / "good.pt").touch()
    assert server.get("/models/loras").json() == ["good.pt"]
    assert [entry["name"] for entry in server.get("/experiment/models/loras").json()] == ["good.pt"]
    for file in loras.glob("loop*"):
        file.unlink()


def test_an_input_image_that_cannot_be_named_is_not_offered(server: Client, place: Place) -> None:
    image = Path(os.fsdecode(os.fsencode(place.base / "input") + b"/\xff.png"))
    image.touch()
    reply = server.get("/object_info/LoadImage")
    image.unlink()
    assert reply.status == 200


def test_metadata_of_a_file_is_shown(server: Client, loras: Path) -> None:
    (loras / "sub").mkdir()
    (loras / "sub" / "a b.safetensors").write_bytes(safetensors({"ss_epoch": "3", "ü": "ö"}))
    assert metadata_of(server, "sub/a b.safetensors") == {"ss_epoch": "3", "ü": "ö"}


@pytest.mark.parametrize(
    "content",
    [
        safetensors(),
        safetensors({"a": "b"}, padding=1024 * 1024),
        safetensors(["a"]),
        safetensors({"a": "b"})[:30],
        (1 << 63).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (6).to_bytes(8, "little") + b"\xff\xfe{}{}",
        (20_000).to_bytes(8, "little") + b"[" * 20_000,
        b"short",
        b"",
    ],
)
def test_a_file_without_readable_metadata_has_none(
    server: Client, loras: Path, content: bytes
) -> None:
    (loras / "a.safetensors").write_bytes(content)
    assert metadata_of(server, "a.safetensors") is None


@pytest.mark.parametrize(
    "name",
    [
        *("", "gone.safetensors", "a.pt", "../loras/a.safetensors/../../../x.safetensors"),
        *("/etc/a.safetensors", "\0.safetensors", "x" * 5000 + ".safetensors"),
    ],
)
def test_metadata_of_what_is_no_model_is_not_found(
    server: Client, loras: Path, place: Place, name: str
) -> None:
    (loras / "a.pt").write_bytes(safetensors({"a": "b"}))
    (place.base / "x.safetensors").write_bytes(safetensors({"a": "secret"}))
    assert metadata_of(server, name) is None
    assert server.get("/view_metadata/loras").status == 404


@pytest.mark.parametrize(
    ("beside", "kind"),
    [
        ("m.png", "PNG"),
        ("m.preview.png", "PNG"),
        ("m.jpg", "JPEG"),
        ("m.preview.jpeg", "JPEG"),
        ("m.webp", "WEBP"),
        ("m.safetensors.png", "PNG"),
    ],
)
def test_a_picture_beside_the_model_is_its_preview(
    server: Client, loras: Path, beside: str, kind: str
) -> None:
    (loras / "m.safetensors").write_bytes(safetensors())
    assert preview_of(server, "m.safetensors") is None
    (loras / beside).write_bytes(picture("red", kind))
    body = preview_of(server, "m.safetensors")
    assert body is not None
    assert shown_color(body) == RED


def test_a_model_in_a_subfolder_is_named_with_or_without_encoding(
    server: Client, loras: Path
) -> None:
    (loras / "sub").mkdir()
    (loras / "sub" / "m.ckpt").touch()
    (loras / "sub" / "m.png").write_bytes(picture("blue"))
    for name in ("sub/m.ckpt", "sub%2Fm.ckpt"):
        body = preview_of(server, name)
        assert body is not None
        assert shown_color(body) == BLUE


def test_a_cover_inside_the_file_is_its_preview(server: Client, loras: Path) -> None:
    cover = base64.b64encode(picture("lime")).decode()
    broken = base64.b64encode(b"no picture").decode()
    for metadata in (
        {"ssmd_cover_images": json.dumps([cover])},
        {"ssmd_cover_images": json.dumps([3, "%", broken, cover])},
        {"modelspec.thumbnail": f"data:image/png;base64,{cover}"},
        {"modelspec.thumbnail": "data:image/png;base64", "ssmd_cover_images": f'["{cover}"]'},
    ):
        (loras / "m.safetensors").write_bytes(safetensors(metadata, padding=2 * 1024 * 1024))
        body = preview_of(server, "m.safetensors")
        assert body is not None
        assert shown_color(body) == LIME


def test_a_broken_picture_beside_gives_way_to_the_cover(server: Client, loras: Path) -> None:
    cover = base64.b64encode(picture("lime")).decode()
    (loras / "m.safetensors").write_bytes(safetensors({"ssmd_cover_images": f'["{cover}"]'}))
    (loras / "m.png").write_bytes(b"broken")
    body = preview_of(server, "m.safetensors")
    assert body is not None
    assert shown_color(body) == LIME


@pytest.mark.parametrize("covers", ["{", "{}", '"text"', "[" * 5000, json.dumps([None, {}])])
def test_covers_that_are_none_are_passed_over(server: Client, loras: Path, covers: str) -> None:
    (loras / "m.safetensors").write_bytes(safetensors({"ssmd_cover_images": covers}))
    assert preview_of(server, "m.safetensors") is None


def test_a_large_picture_is_shrunk(server: Client, loras: Path) -> None:
    (loras / "m.pt").touch()
    (loras / "m.png").write_bytes(picture("red", size=(3000, 1500)))
    body = preview_of(server, "m.pt")
    assert body is not None
    with Image.open(io.BytesIO(body)) as image:
        assert image.size == (1024, 512)


@pytest.mark.parametrize("index", ["9", "-1", "x", "1e1", "%C2%B2", "9" * 400])
def test_a_preview_of_a_folder_that_is_not_there_is_not_found(server: Client, index: str) -> None:
    assert preview_of(server, "m.pt", index) is None


@pytest.mark.parametrize("name", ["..%2Foutside.pt", "%2Ftmp%2Fx.pt", "a%00.pt", "x" * 3000, "m"])
def test_a_preview_of_what_is_no_model_is_not_found(
    server: Client, loras: Path, place: Place, name: str
) -> None:
    (place.base / "models" / "outside.pt").touch()
    (place.base / "models" / "outside.png").write_bytes(picture("red"))
    (loras / "m.png").write_bytes(picture("red"))
    assert preview_of(server, urllib.parse.quote(name, safe="%")) is None


def test_kinds_without_models_have_no_previews(server: Client, place: Place) -> None:
    (place.base / "custom_nodes" / "a.pt").touch()
    (place.base / "custom_nodes" / "a.png").write_bytes(picture("red"))
    assert preview_of(server, "a.pt", kind="custom_nodes") is None
