"""Names made to leave their folders, at every place where a client of a real server gives one."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from PIL import Image

from tests.client import Client, Reply
from tests.conftest import ServerProcess

SECRET: Final = b"what nobody may read"


@dataclass(frozen=True)
class Site:
    """A server with links that lead out of its folders, and what they lead to."""

    client: Client
    base: Path
    elsewhere: Path

    def outside(self) -> dict[str, bytes]:
        """What lies where no client may write, and the names of what lies in the base folder."""
        roots = (self.elsewhere, self.base / "private")
        files = [file for root in roots for file in root.rglob("*") if file.is_file()]
        content = {str(file): file.read_bytes() for file in files}
        return content | {str(path): b"" for path in self.base.iterdir()}


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def site(server_process: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    base, elsewhere = server_process.base, tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "folder").mkdir()
    for folder in (elsewhere, elsewhere / "folder"):
        (folder / "secret.txt").write_bytes(SECRET)
        (folder / "secret.png").write_bytes(picture())
        (folder / "secret.safetensors").write_bytes(SECRET)
    (base / "private").mkdir()
    (base / "private" / "secret.png").write_bytes(picture())
    links: list[Path] = []

    def link(path: Path, target: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
        links.append(path)

    for name in ("input", "output", "temp", "user/default"):
        link(base / name / "out", elsewhere / "folder")
        link(base / name / "out.png", elsewhere / "secret.png")
        link(base / name / "new.png", elsewhere / "new.png")
        link(base / name / "base", base)
    (base / "output" / "made.png").write_bytes(picture())
    link(base / "input" / "made.png", base / "output" / "made.png")
    link(base / "models" / "loras" / "disk", elsewhere / "folder")
    for name in LISTED:
        link(base / name / "itself", Path("itself"))
        link(base / name / "itself.png", Path("itself.png"))
    yield Site(server_process.client, base, elsewhere)
    for path in links:
        path.unlink()


# Folders of which clients are told what is in them.
LISTED: Final = [
    *("input", "output", "temp", "user/default", "custom_nodes"),
    *("models/loras", "models/embeddings"),
]


def test_a_link_to_itself_hides_nothing(site: Site) -> None:
    client = site.client
    paths = ["/object_info", "/models/loras", "/embeddings", "/userdata?dir=.&recurse=true"]
    paths += ["/v2/userdata", "/workflow_templates", "/i18n", "/global_subgraphs", "/extensions"]
    paths += [f"/internal/files/{kind}" for kind in ("input", "output", "temp")]
    assert {path: client.get(path).status for path in paths} == dict.fromkeys(paths, 200)
    options = client.get("/object_info/LoadImage").json()["LoadImage"]["input"]["required"]
    assert "made.png" in options["image"][0]
    assert "made.png" in client.get("/internal/files/output").json()
    assert client.get("/models/loras").json() == ["disk/secret.safetensors"]


# Names that no folder takes; `{base}` and `{elsewhere}` stand for real folders.
NAMES: Final = [
    "../private/secret.png",
    "a/../../private/secret.png",
    "..",
    "x/..",
    "{elsewhere}/secret.png",
    "{base}/input/made.png",  # absolute, though inside
    "//{elsewhere}/secret.png",
    "..\\private\\secret.png",
    "a\\b.png",
    "C:\\secret.png",
    "made.png\0.txt",
    "CON",
    "nul.png",
    "com1.tar.gz",
    "aux/none.png",
]
# Links that somebody placed in a folder which clients read.
LINKS: Final = ["out/secret.png", "out.png", "new.png", "base/private/secret.png"]
# Escapes within escapes: decoded once, they are odd names of files that are not there.
ESCAPES: Final = [
    "%2e%2e%2fprivate%2fsecret.png",
    "..%252fprivate%252fsecret.png",
    "%c0%ae%c0%ae/private/secret.png",
    "..%00/private/secret.png",
    "..;/private/secret.png",
]
ALL: Final = NAMES + LINKS + ESCAPES


def view(site: Site, name: str) -> Reply:
    return site.client.get("/view", filename=name, type="input")


def view_subfolder(site: Site, name: str) -> Reply:
    folder, _, file = name.rpartition("/")
    if not folder:
        return view(site, name)
    return site.client.get("/view", filename=file, subfolder=folder, type="output")


def view_annotated(site: Site, name: str) -> Reply:
    return site.client.get("/view", filename=f"{name} [temp]", preview="webp")


def upload(site: Site, name: str) -> Reply:
    return site.client.upload("/upload/image", name.replace("\\", "\\\\"), b"new", overwrite="true")


def upload_subfolder(site: Site, name: str) -> Reply:
    folder = f"{name}/" if "/" not in name else name
    return site.client.upload("/upload/image", "new.txt", b"new", subfolder=folder, type="output")


def mask(site: Site, name: str) -> Reply:
    reference = json.dumps({"filename": name, "type": "input"})
    return site.client.upload("/upload/mask", "mask.png", picture(), original_ref=reference)


def read_userdata(site: Site, name: str) -> Reply:
    return site.client.get(f"/userdata/{quote(name, safe='')}")


def write_userdata(site: Site, name: str) -> Reply:
    return site.client.post(f"/userdata/{quote(name, safe='')}", b"new")


def list_userdata(site: Site, name: str) -> Reply:
    return site.client.get("/userdata", dir=name)


def model_metadata(site: Site, name: str) -> Reply:
    return site.client.get("/view_metadata/loras", filename=name.replace(".png", ".safetensors"))


def model_preview(site: Site, name: str) -> Reply:
    return site.client.get(f"/experiment/models/preview/loras/0/{quote(name, safe='')}")


def extension(site: Site, name: str) -> Reply:
    return site.client.get(f"/extensions/{quote(name, safe='')}")


def load_image(site: Site, name: str) -> Reply:
    return prompt(site, {"class_type": "LoadImage", "inputs": {"image": name}})


def load_annotated(site: Site, name: str) -> Reply:
    return prompt(site, {"class_type": "LoadImage", "inputs": {"image": f"{name} [output]"}})


def load_vae(site: Site, name: str) -> Reply:
    return prompt(site, {"class_type": "VAELoader", "inputs": {"vae_name": name}})


def prompt(site: Site, node: dict[str, Any]) -> Reply:
    save = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    if node["class_type"] == "VAELoader":
        latent = {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 16, "height": 16, "batch_size": 1},
        }
        decode = {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 0]}}
        save["inputs"] = {"images": ["3", 0]}
        graph = {"1": node, "2": latent, "3": decode, "4": save}
    else:
        graph = {"1": node, "2": save}
    return site.client.post("/prompt", {"prompt": graph})


ENTRIES: Final[dict[str, tuple[Callable[[Site, str], Reply], list[str]]]] = {
    "GET /view filename": (view, ALL),
    "GET /view subfolder": (view_subfolder, ALL),
    "GET /view annotated": (view_annotated, ALL),
    "POST /upload/image name": (upload, [n for n in NAMES + LINKS[:3] if "\0" not in n]),
    "POST /upload/image subfolder": (
        upload_subfolder,
        [n for n in [*NAMES, "out", "base/private"] if "\0" not in n],
    ),
    "POST /upload/mask original": (mask, ALL),
    "GET /userdata/{file}": (read_userdata, ALL),
    "POST /userdata/{file}": (write_userdata, NAMES + LINKS),
    "GET /userdata?dir": (list_userdata, [*ALL, "out", "base"]),
    "GET /view_metadata": (model_metadata, NAMES + ESCAPES),
    "GET /experiment/models/preview": (model_preview, NAMES + ESCAPES),
    "GET /extensions": (extension, ALL),
    "LoadImage": (load_image, ALL),
    "LoadImage annotated": (load_annotated, ALL),
    "VAELoader": (load_vae, NAMES + ESCAPES),
}


@pytest.mark.parametrize(
    ("ask", "name"),
    [(ask, name) for ask, names in ENTRIES.values() for name in names],
    ids=[f"{entry}: {name!r}" for entry, (_, names) in ENTRIES.items() for name in names],
)
def test_no_name_leads_out_of_its_folder(
    site: Site, ask: Callable[[Site, str], Reply], name: str
) -> None:
    before = site.outside()
    given = name.replace("{base}", str(site.base)).replace("{elsewhere}", str(site.elsewhere))
    reply = ask(site, given)
    assert 400 <= reply.status < 500, reply
    assert "error" in reply.json()
    assert SECRET not in reply.body
    hidden = reply.body.decode().replace(json.dumps(given)[1:-1], "").replace(given, "")
    if not given.startswith("/"):  # the client named it itself
        assert str(site.base) not in hidden
        assert str(site.elsewhere) not in hidden
    assert site.outside() == before


@pytest.mark.parametrize(
    "prefix",
    [
        "../x",
        "/x",
        "{elsewhere}/x",
        "a\\b",
        "a\0b",
        "out/x",
        "base/private/x",
        "aux/x",
        "%2e%2e/../../x",
    ],
)
def test_no_prefix_of_saved_files_leads_out_of_the_output_folder(site: Site, prefix: str) -> None:
    before = site.outside()
    given = prefix.replace("{elsewhere}", str(site.elsewhere))
    graph = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": given}},
    }
    entry = site.client.wait(site.client.submit(graph))
    assert entry["status"]["status_str"] == "error"
    [error] = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    assert error["exception_type"] == "executor.folders.OutsideFolder"
    assert site.outside() == before


def test_what_links_out_is_not_offered(site: Site) -> None:
    info = site.client.get("/object_info/LoadImage").json()["LoadImage"]
    assert "made.png" in info["input"]["required"]["image"][0]
    assert "out.png" not in info["input"]["required"]["image"][0]
    names = site.client.get("/internal/files/input").json()
    assert "made.png" in names
    assert "out.png" not in names


def test_links_between_the_folders_are_followed(site: Site) -> None:
    assert view(site, "made.png").body == picture()
    assert site.client.run(
        {
            "1": {"class_type": "LoadImage", "inputs": {"image": "made.png"}},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        }
    )


def test_a_model_folder_may_hold_links_to_another_disk(site: Site) -> None:
    assert "disk/secret.safetensors" in site.client.get("/models/loras").json()
    reply = site.client.get("/experiment/models/preview/loras/0/disk%2Fsecret.safetensors")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/webp")


def test_configured_folders_may_be_links(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base = tmp_path / "linked"
    base.mkdir()
    for name in ("input", "output", "user", "models"):
        (tmp_path / f"real {name}").mkdir()
        (base / name).symlink_to(tmp_path / f"real {name}")
    client = new_server("--base-directory", str(base)).client
    assert client.upload("/upload/image", "a.png", picture()).status == 200
    assert client.get("/view", filename="a.png", type="input").body == picture()
    assert client.post("/userdata/a.json", b"{}").status == 200
    assert client.get("/userdata/a.json").body == b"{}"
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "b/c"}},
    }
    assert client.images(client.run(graph))
    assert [file.name for file in (tmp_path / "real output" / "b").iterdir()] == ["c_00001_.png"]
