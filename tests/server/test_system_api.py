"""Nodes, models, statistics, pages and transport rules."""

from __future__ import annotations

import gzip
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from server.app import ROUTES
from server.versions import COMFY_PACKAGES, installed
from tests.client import Client
from tests.conftest import ROOT, ServerProcess
from tests.server.conftest import Place


def test_every_route_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    shown = [f"{method} {re.sub(':[^{}]+', '', path)}" for method, path, *_ in ROUTES]
    assert not [route for route in shown if f"`{route}" not in text]


@pytest.mark.parametrize(
    "path",
    [
        *("/prompt", "/queue", "/history", "/object_info", "/models", "/embeddings"),
        *("/features", "/extensions", "/object_info/SaveImage", "/models/checkpoints"),
    ],
)
def test_the_prefix_changes_nothing(server: Client, path: str) -> None:
    plain, prefixed = server.get(path), server.get(f"/api{path}")
    assert (plain.status, plain.body) == (200, prefixed.body)
    assert plain.headers["content-type"] == "application/json; charset=utf-8"
    assert server.request("HEAD", path).status == 200


def test_object_info_describes_nodes(server: Client) -> None:
    everything = server.get("/object_info").json()
    one = server.get("/object_info/EmptyImage").json()
    assert one == {"EmptyImage": everything["EmptyImage"]}
    assert one["EmptyImage"]["input"]["required"]["width"][0] == "INT"
    assert server.get("/object_info/NoSuchClass").json() == {}


def test_object_info_is_sent_once_as_long_as_it_is_the_same(server: Client, place: Place) -> None:
    first = server.get("/object_info")
    tag = first.headers["etag"]

    again = server.get("/object_info", {"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == tag

    (place.base / "models" / "vae" / f"{uuid.uuid4().hex}.safetensors").touch()
    (place.base / "models" / "checkpoints" / f"{uuid.uuid4().hex}.safetensors").touch()
    changed = server.get("/object_info", {"If-None-Match": tag})
    assert changed.status == 200
    assert changed.headers["etag"] != tag


def test_object_info_is_compressed_for_those_who_ask(server: Client) -> None:
    plain = server.get("/object_info")
    packed = server.get("/object_info", {"Accept-Encoding": "br, gzip;q=0.5"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)


def test_object_info_lists_files_of_this_moment(server: Client, place: Place) -> None:
    def checkpoints() -> list[str]:
        info = server.get("/object_info/CheckpointLoaderSimple").json()["CheckpointLoaderSimple"]
        everything = server.get("/object_info").json()["CheckpointLoaderSimple"]
        assert info == everything
        listed: list[str] = info["input"]["required"]["ckpt_name"][0]
        return listed

    file = place.base / "models" / "checkpoints" / "sub" / "fresh.safetensors"
    assert "sub/fresh.safetensors" not in checkpoints()
    file.parent.mkdir()
    file.touch()
    assert "sub/fresh.safetensors" in checkpoints()
    assert "sub/fresh.safetensors" in server.get("/models/checkpoints").json()
    file.unlink()
    assert "sub/fresh.safetensors" not in checkpoints()


def test_uploaded_images_are_offered_at_once(server: Client) -> None:
    server.upload("/upload/image", "offered.png", b"x")
    info = server.get("/object_info").json()["LoadImage"]["input"]["required"]["image"]
    assert "offered.png" in info[0]
    assert info[1]["image_upload"] is True


def test_embeddings_are_named_without_extension(server: Client, place: Place) -> None:
    folder = place.base / "models" / "embeddings"
    (folder / "style.v2.pt").touch()
    assert server.get("/embeddings").json() == ["style.v2"]


def test_statistics_have_the_documented_keys(server: Client) -> None:
    stats = server.get("/system_stats").json()
    assert set(stats["system"]) == {
        *("os", "ram_total", "ram_free", "comfyui_version", "required_frontend_version"),
        *("installed_templates_version", "required_templates_version", "python_version"),
        *("pytorch_version", "embedded_python", "argv"),
        *("comfy_package_versions", "deploy_environment"),
    }
    assert stats["system"]["comfyui_version"] == "0.8.0"
    assert re.match(r"\d+\.\d+", stats["system"]["pytorch_version"])
    assert isinstance(stats["system"]["argv"], list)
    (device,) = stats["devices"]
    assert (device["type"], device["index"]) == ("cpu", None)
    memory = ("vram_total", "vram_free", "torch_vram_total", "torch_vram_free")
    assert set(device) == {"name", "type", "index", *memory}
    assert all(isinstance(device[key], int) and device[key] > 0 for key in memory)


def test_packages_of_the_front_end_are_listed_with_their_versions(server: Client) -> None:
    packages = server.get("/system_stats").json()["system"]["comfy_package_versions"]
    expected = [(name, installed(name)) for name in COMFY_PACKAGES if installed(name)]
    assert [(package["name"], package["installed"]) for package in packages] == expected
    assert all(package["required"] == package["installed"] for package in packages)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "local-git"),
        (b"", "local-git"),
        (b"\n second line", "local-git"),
        (b"docker-image 3 \nmore", "docker-image 3"),
        ("b\u00fccher\x1b[0m".encode(), "bcher[0m"),
        (b"x" * 1000, "x" * 128),
    ],
)
def test_the_environment_is_what_its_file_says(
    new_twin: Callable[..., Client], tmp_path: Path, content: bytes | None, expected: str
) -> None:
    client = new_twin()
    if content is not None:
        (tmp_path / "twin1" / ".comfy_environment").write_bytes(content)
    assert client.get("/system_stats").json()["system"]["deploy_environment"] == expected


def test_the_command_line_is_shown_without_passwords(
    new_server: Callable[..., ServerProcess],
) -> None:
    url = "sqlite://nobody:s3cret@/"
    client = new_server("--feature-flag", f"url={url}").client
    argv = client.get("/system_stats").json()["system"]["argv"]
    assert argv[-2:] == ["--feature-flag", "url=sqlite://nobody:***@/"]


def test_without_a_front_end_there_are_no_extensions(server: Client) -> None:
    assert server.get("/extensions").json() == []


def test_the_page_and_its_parts_are_served(server: Client) -> None:
    page = server.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    parts = re.findall(r'(?:src|href)="(/pages/[^"]+)"', page.body.decode())
    assert len(parts) == 3
    for part in parts:
        reply = server.get(part)
        assert (reply.status, reply.headers["content-security-policy"]) == (200, policy)
    assert server.get("/pages/other").status == 404
    assert server.get("/pages/..%2fapp.py").status == 404
    assert not re.search(r"<script[^>]*>[^<]|\son\w+=|style=", page.body.decode())


def test_every_link_on_the_page_works(server: Client) -> None:
    for link in re.findall(r'<a href="([^"]+)"', server.get("/").body.decode()):
        assert server.get(link).status == 200, link


def test_unknown_paths_and_methods(server: Client) -> None:
    for path in ("/nothing", "/api/nothing", "/api/api/queue", "/view/x"):
        assert server.get(path).status == 404
    reply = server.request("DELETE", "/queue")
    assert reply.status == 405
    assert "GET" in reply.headers["allow"]
    assert server.get("/upload/image").status == 405


def test_options_answers_on_any_path(server: Client) -> None:
    for path in ("/queue", "/nothing"):
        reply = server.request("OPTIONS", path)
        assert (reply.status, reply.body) == (200, b"")


def test_pages_of_another_origin_are_refused(server: Client) -> None:
    foreign = {"Origin": "https://evil.example"}
    for method in ("GET", "OPTIONS", "POST"):
        reply = server.request(method, "/queue", headers=foreign)
        assert (reply.status, reply.body) == (403, b"")
    assert server.get("/queue", {"Origin": server.address}).status == 200


def test_the_cors_flag_lets_an_origin_in(new_twin: Callable[..., Client]) -> None:
    client = new_twin(cors_origin="https://studio.example")
    for path, status in (("/features", 200), ("/nothing", 404)):
        reply = client.get(path, {"Origin": "https://studio.example"})
        assert reply.status == status
        assert reply.headers["access-control-allow-origin"] == "https://studio.example"
        assert reply.headers["access-control-allow-credentials"] == "true"


def test_answers_are_compressed_only_on_demand(
    server: Client, new_twin: Callable[..., Client]
) -> None:
    zipped = {"Accept-Encoding": "gzip, deflate"}
    assert "content-encoding" not in server.get("/models", zipped).headers
    client = new_twin(compress_responses=True)
    reply = client.get("/models", zipped)
    assert reply.headers["content-encoding"] == "gzip"
    assert b"checkpoints" in gzip.decompress(reply.body)
    assert "content-encoding" not in client.get("/models").headers


def test_a_front_end_folder_is_served(new_twin: Callable[..., Client], tmp_path: Path) -> None:
    root = tmp_path / "front"
    (root / "extensions" / "core").mkdir(parents=True)
    (root / "index.html").write_text("front end")
    (root / "app.js").write_text("1")
    (root / "extensions" / "core" / "a.js").write_text("2")
    (tmp_path / "secret").write_text("secret")
    client = new_twin(front_end_root=str(root))
    page = client.get("/")
    assert (page.body, page.headers["cache-control"]) == (b"front end", "no-cache, no-store")
    script = client.get("/app.js")
    assert (script.body, script.headers["cache-control"]) == (b"1", "no-cache")
    assert client.get("/extensions").json() == ["/extensions/core/a.js"]
    assert client.get("/extensions/core/a.js").body == b"2"
    assert client.get("/queue").status == 200
    for path in ("/gone.png", "/..%2fsecret", "/%2e%2e/secret", "//etc/passwd"):
        assert client.get(path).status == 404
