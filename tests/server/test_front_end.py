"""The web front end as an installed package: what is found, and how its files are sent."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import brotli
import pytest

from server.compressed import CompressedFiles
from server.front_end import FrontEnd
from tests.client import Client
from tests.server.twin import PACKAGES_FOLDER, running_twin

SCRIPT = b"export const answer = 42;\n" * 100
HASHED = "/assets/index-B2rHQ9Sn.js"
FILES = {
    "comfyui_frontend_package/static/index.html": b"<title>front end</title>",
    "comfyui_frontend_package/static" + HASHED: SCRIPT,
    "comfyui_frontend_package/static/assets/plain-settings.js": SCRIPT,
    "comfyui_frontend_package/static/assets/clip-CebUEmtR.mp4": b"\0" * 5000,
    "comfyui_frontend_package/static/materialdesignicons.min.css": b"a { color: red }\n" * 100,
    "comfyui_frontend_package/static/picture.png": b"\x89PNG" + b"\0" * 5000,
    "comfyui_frontend_package/static/extensions/core/a.js": b"1",
    "comfyui_frontend_package/static/extensions/core/deep/b.js": b"2",
    "comfyui_frontend_package/static/extensions/core/c.txt": b"3",
    "comfyui_workflow_templates_json/templates/index.json": b"[]",
    "comfyui_workflow_templates_json/templates/index.de.json": b"[1]",
    "comfyui_workflow_templates_json/templates/flow.json": b'{"nodes": []}',
    "comfyui_workflow_templates_media/templates/flow-1.webp": b"webp",
    "comfyui_workflow_templates_core/loader.py": b"raise SystemExit('never run')",
    "comfyui_embedded_docs/docs/KSampler/en.md": b"# KSampler",
    "comfyui_embedded_docs/__init__.py": b"raise SystemExit('never run')",
    "secret.txt": b"secret",
}


def install(base: Path) -> Path:
    """Packages that look like the real ones, where a twin finds them."""
    packages = base / PACKAGES_FOLDER
    for name, content in FILES.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_bytes(content)
    root = packages / "comfyui_frontend_package/static"
    (root / "outside.txt").symlink_to(packages / "secret.txt")
    (root / "outside").symlink_to(packages)
    (root / "inside.css").symlink_to("materialdesignicons.min.css")
    return root


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("installed")


@pytest.fixture(scope="module")
def pages(base: Path) -> Iterator[Client]:
    """A server that has a front end."""
    install(base)
    with running_twin(base) as client:
        yield client


def accepting(encoding: str) -> dict[str, str]:
    return {"Accept-Encoding": encoding}


def test_the_first_page_is_the_front_ends_and_is_not_stored(pages: Client) -> None:
    for path in ("/", "/index.html", "/api/"):
        reply = pages.get(path)
        assert reply.body == b"<title>front end</title>"
        assert reply.headers["cache-control"] == "no-cache, no-store"
        assert reply.headers["content-type"] == "text/html; charset=utf-8"


def test_our_own_page_can_still_be_reached(pages: Client) -> None:
    assert b"<title>Darkroom</title>" in pages.get("/pages/index.html").body


@pytest.mark.parametrize(
    ("encoding", "decode"), [("gzip", gzip.decompress), ("br", brotli.decompress)]
)
def test_text_is_compressed_as_the_client_likes_it(
    pages: Client, encoding: str, decode: Callable[[bytes], bytes]
) -> None:
    reply = pages.get(HASHED, accepting(encoding))
    assert reply.headers["content-encoding"] == encoding
    assert reply.headers["vary"] == "Accept-Encoding"
    assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
    assert int(reply.headers["content-length"]) == len(reply.body) < len(SCRIPT) / 5
    assert decode(reply.body) == SCRIPT


def test_uncompressed_text_says_that_it_could_be_otherwise(pages: Client) -> None:
    for header in ({}, accepting("gzip;q=0"), accepting("identity")):
        reply = pages.get(HASHED, header)
        assert reply.body == SCRIPT
        assert "content-encoding" not in reply.headers
        assert reply.headers["vary"] == "Accept-Encoding"


def test_media_and_tiny_files_are_sent_as_they_are(pages: Client) -> None:
    for path in ("/picture.png", "/assets/clip-CebUEmtR.mp4", "/extensions/core/a.js"):
        reply = pages.get(path, accepting("gzip, br"))
        assert (reply.status, "content-encoding" in reply.headers) == (200, False)
    assert "vary" not in pages.get("/picture.png").headers


def test_head_tells_the_same_without_the_body(pages: Client) -> None:
    for path in (HASHED, "/", "/templates/index.json"):
        full = pages.get(path, accepting("br"))
        head = pages.request("HEAD", path, headers=accepting("br"))
        full.headers.pop("date"), head.headers.pop("date")
        assert (head.status, head.headers, head.body) == (200, full.headers, b"")


def test_each_encoding_has_its_own_etag_and_is_confirmed_by_it(pages: Client) -> None:
    tags = {}
    for encoding in ("identity", "gzip", "br"):
        tags[encoding] = pages.get(HASHED, accepting(encoding)).headers["etag"]
        again = pages.get(HASHED, accepting(encoding) | {"If-None-Match": tags[encoding]})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["vary"] == "Accept-Encoding"
    assert len(set(tags.values())) == 3


def test_the_date_is_the_files_own(pages: Client) -> None:
    plain = pages.get(HASHED).headers["last-modified"]
    assert pages.get(HASHED, accepting("br")).headers["last-modified"] == plain
    assert pages.get(HASHED, accepting("br") | {"If-Modified-Since": plain}).status == 304


def test_a_range_is_one_of_the_uncompressed_file(pages: Client) -> None:
    reply = pages.get(HASHED, accepting("br") | {"Range": "bytes=7-11"})
    assert (reply.status, reply.body) == (206, SCRIPT[7:12])
    assert reply.headers["content-range"] == f"bytes 7-11/{len(SCRIPT)}"
    assert "content-encoding" not in reply.headers
    assert pages.get(HASHED, {"Range": "bytes=99999-"}).status == 416


@pytest.mark.parametrize(
    ("path", "cache"),
    [
        (HASHED, "public, max-age=31536000, immutable"),
        ("/assets/clip-CebUEmtR.mp4", "public, max-age=31536000, immutable"),
        ("/assets/plain-settings.js", "no-cache"),
        ("/materialdesignicons.min.css", "no-cache"),
        ("/extensions/core/a.js", "no-cache"),
        ("/picture.png", "public, max-age=86400"),
        ("/templates/index.de.json", "no-cache"),
        ("/templates/flow-1.webp", "public, max-age=86400"),
        ("/templates/flow.json", None),
    ],
)
def test_how_long_a_file_may_be_kept(pages: Client, path: str, cache: str | None) -> None:
    reply = pages.get(path)
    assert (reply.status, reply.headers.get("cache-control")) == (200, cache)
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_missing_file_is_not_kept_for_ever(pages: Client) -> None:
    reply = pages.get("/assets/index-AAAAAAA1.js")
    assert (reply.status, reply.headers["cache-control"]) == (404, "no-cache")
    assert pages.get("/gone.png").headers["cache-control"] == "public, max-age=3600"


@pytest.mark.parametrize(
    "path",
    [
        "/outside.txt",
        "/outside/secret.txt",
        "/..%2f..%2fsecret.txt",
        "/%2e%2e/%2e%2e/secret.txt",
        "/templates/..%2f..%2fsecret.txt",
        "/extensions/..%2findex.html",
        "/docs/..%2f__init__.py",
        "//etc/passwd",
        "/assets",
        "/assets/",
        "/picture.png/x",
        "/index.html%00.js",
        "/" + "x" * 300,
        "/user.css",
        "/api/picture.png",
    ],
)
def test_what_is_not_in_the_front_end_is_not_found(pages: Client, path: str) -> None:
    reply = pages.get(path)
    assert reply.status == 404
    assert b"secret" not in reply.body.replace(b"secret.txt", b"")


def test_a_link_within_the_folder_is_followed(pages: Client) -> None:
    assert pages.get("/inside.css").body == pages.get("/materialdesignicons.min.css").body


def test_routes_come_before_files_and_wrong_methods_stay_wrong(pages: Client) -> None:
    assert pages.get("/queue").json() == {"queue_running": [], "queue_pending": []}
    assert pages.request("DELETE", "/queue").status == 405
    assert pages.post("/picture.png").status == 404


def test_the_front_ends_scripts_are_listed_and_served(pages: Client) -> None:
    paths = pages.get("/extensions").json()
    assert paths == ["/extensions/core/a.js", "/extensions/core/deep/b.js"]
    assert [pages.get(path).body for path in paths] == [b"1", b"2"]
    assert pages.get("/api" + paths[0]).body == b"1"


def test_templates_are_found_in_whichever_package_has_them(pages: Client) -> None:
    assert pages.get("/templates/index.json").json() == []
    assert pages.get("/api/templates/index.de.json").json() == [1]
    assert pages.get("/templates/flow.json").json() == {"nodes": []}
    picture = pages.get("/templates/flow-1.webp")
    assert (picture.body, picture.headers["content-type"]) == (b"webp", "image/webp")
    assert pages.get("/templates/other.json").status == 404


def test_help_pages_are_served(pages: Client) -> None:
    for path in ("/docs/KSampler/en.md", "/api/docs/KSampler/en.md"):
        reply = pages.get(path)
        assert (reply.body, reply.headers["content-type"]) == (
            b"# KSampler",
            "text/markdown; charset=utf-8",
        )
    assert pages.get("/docs/KSampler/xx.md").status == 404


def test_a_file_is_compressed_once_and_kept(pages: Client, base: Path) -> None:
    copies = base / "user/.darkroom/compressed"
    pages.get("/materialdesignicons.min.css", accepting("gzip"))
    kept = {file: file.stat().st_ino for file in copies.iterdir()}
    pages.get("/materialdesignicons.min.css", accepting("gzip"))
    assert kept
    assert {file: file.stat().st_ino for file in copies.iterdir()} == kept


def test_a_changed_file_is_compressed_anew(new_twin: Callable[..., Client], tmp_path: Path) -> None:
    root = tmp_path / "front"
    root.mkdir()
    client = new_twin(front_end_root=str(root))
    for content in (b"one\n" * 1000, b"two\n" * 1000):
        (root / "a.js").write_bytes(content)
        os.utime(root / "a.js", ns=(0, len(content) + content[0]))
        assert gzip.decompress(client.get("/a.js", accepting("gzip")).body) == content


def test_pages_are_sent_uncompressed_where_copies_cannot_be_kept(
    new_twin: Callable[..., Client], tmp_path: Path
) -> None:
    root = install(tmp_path / "elsewhere")
    (tmp_path / "twin1/user/.darkroom").mkdir(parents=True)
    (tmp_path / "twin1/user/.darkroom/compressed").write_text("in the way")
    client = new_twin(front_end_root=str(root))
    for _ in range(2):
        reply = client.get(HASHED, accepting("br"))
        assert (reply.status, reply.body) == (200, SCRIPT)


def test_compressing_answers_does_not_compress_pages_twice(
    new_twin: Callable[..., Client], tmp_path: Path
) -> None:
    root = install(tmp_path / "elsewhere")
    client = new_twin(front_end_root=str(root), compress_responses=True)
    reply = client.get("/materialdesignicons.min.css", accepting("gzip"))
    assert gzip.decompress(reply.body).startswith(b"a { color")
    part = client.get("/materialdesignicons.min.css", accepting("gzip") | {"Range": "bytes=0-2"})
    assert (part.status, part.body) == (206, b"a {")


def test_a_named_folder_comes_before_the_installed_package(tmp_path: Path) -> None:
    install(tmp_path)
    named = tmp_path / "named"
    found = FrontEnd.find(named, [str(tmp_path / PACKAGES_FOLDER)], tmp_path)
    assert found.root == named
    assert found.docs is not None


def test_of_two_installed_packages_the_first_on_the_path_counts(tmp_path: Path) -> None:
    install(tmp_path / "one"), install(tmp_path / "two")
    path = [str(tmp_path / name / PACKAGES_FOLDER) for name in ("none", "two", "one")]
    found = FrontEnd.find(None, ["", *path], tmp_path)
    assert found.root is not None
    folders = [found.root, found.docs, *found.templates]
    assert len(folders) == 4
    assert all(folder and folder.is_relative_to(tmp_path / "two") for folder in folders)


def test_nothing_is_found_where_nothing_is_installed(tmp_path: Path) -> None:
    found = FrontEnd.find(None, [str(tmp_path)], tmp_path)
    assert (found.root, found.docs, found.templates, found.scripts()) == (None, None, (), [])


def test_the_version_is_that_of_the_front_end_that_is_served(
    new_twin: Callable[..., Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.versions.installed", lambda package: "1.2.3")
    for settings, version in (({}, "1.2.3"), ({"front_end_root": str(tmp_path)}, None)):
        system = new_twin(**settings).get("/system_stats").json()["system"]
        assert system["required_frontend_version"] == version
        assert system["installed_templates_version"] == "1.2.3"


async def test_a_file_that_many_ask_for_is_compressed_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    import server.compressed

    written: list[tuple[Path, str, Path]] = []
    write = server.compressed._write_copy

    def counted(file: Path, encoding: str, copy: Path) -> None:
        written.append((file, encoding, copy))
        write(file, encoding, copy)

    monkeypatch.setattr(server.compressed, "_write_copy", counted)
    file = tmp_path / "a.js"
    file.write_bytes(SCRIPT)
    files = CompressedFiles(tmp_path / "copies")
    copies = await asyncio.gather(*(files.find(file, "gzip") for _ in range(20)))
    assert len(set(copies)) == len(written) == 1


async def test_old_copies_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.compressed._KEPT", 4000)
    files = CompressedFiles(tmp_path / "copies")
    copies = []
    for number in range(3):
        file = tmp_path / f"{number}.js"
        file.write_bytes(os.urandom(1500))
        copies.append(await files.find(file, "gzip"))
    assert [copy is not None and copy.exists() for copy in copies] == [False, True, True]
