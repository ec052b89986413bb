"""The rows about model files that tests/server leaves open."""

from __future__ import annotations

import uuid

import pytest

from tests.client import Client
from tests.server.conftest import Place

EXTENSIONS = (".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft")


def test_names_are_sorted_and_relative(server: Client, place: Place) -> None:
    folder = place.base / "models" / "vae"
    mark = uuid.uuid4().hex
    names = [f"{mark}-b.pt", f"{mark}-a.pt", f"sub-{mark}/c.pt"]
    (folder / f"sub-{mark}").mkdir()
    for name in names:
        (folder / name).touch()
    listed: list[str] = server.get("/models/vae").json()
    assert [name for name in listed if mark in name] == sorted(names)
    assert listed == sorted(listed)


@pytest.mark.parametrize("extension", [*EXTENSIONS, *(e.upper() for e in EXTENSIONS)])
def test_a_model_is_known_by_its_extension(server: Client, place: Place, extension: str) -> None:
    name = f"{uuid.uuid4().hex}{extension}"
    (place.base / "models" / "loras" / name).touch()
    assert name in server.get("/models/loras").json()


@pytest.mark.parametrize("extension", [".txt", ".yaml", ".png", ""])
def test_other_files_are_no_models(server: Client, place: Place, extension: str) -> None:
    name = f"{uuid.uuid4().hex}{extension}"
    (place.base / "models" / "loras" / name).touch()
    assert name not in server.get("/models/loras").json()


def test_configurations_are_yaml_files(server: Client, place: Place) -> None:
    name = uuid.uuid4().hex
    folder = place.base / "models" / "configs"
    folder.mkdir(exist_ok=True)
    for extension in (".yaml", ".pt"):
        (folder / f"{name}{extension}").touch()
    listed = [file for file in server.get("/models/configs").json() if file.startswith(name)]
    assert listed == [f"{name}.yaml"]


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("text_encoders", "text_encoders"),
        ("clip", "text_encoders"),
        ("unet", "diffusion_models"),
        ("diffusion_models", "diffusion_models"),
        ("t2i_adapter", "controlnet"),
    ],
)
def test_a_kind_may_have_several_folders(
    server: Client, place: Place, folder: str, kind: str
) -> None:
    name = f"{uuid.uuid4().hex}.pt"
    (place.base / "models" / folder).mkdir(exist_ok=True)
    (place.base / "models" / folder / name).touch()
    assert name in server.get(f"/models/{kind}").json()


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("checkpoints", "checkpoints"),
        ("clip", "text_encoders"),
        ("vae", "vae"),
        ("diffusion_models", "diffusion_models"),
        ("loras", "loras"),
    ],
)
def test_models_that_workflows_save_are_found(
    server: Client, place: Place, folder: str, kind: str
) -> None:
    name = f"{uuid.uuid4().hex}.safetensors"
    (place.base / "output" / folder).mkdir(exist_ok=True)
    (place.base / "output" / folder / name).touch()
    assert name in server.get(f"/models/{kind}").json()


def test_links_are_followed_and_git_is_left_out(
    server: Client, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, mark = place.base / "models" / "upscale_models", uuid.uuid4().hex
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "x.pth").touch()
    folder.mkdir(exist_ok=True)
    (folder / mark).symlink_to(elsewhere)
    (folder / ".git").mkdir(exist_ok=True)
    (folder / ".git" / f"{mark}.pth").touch()
    listed = [name for name in server.get("/models/upscale_models").json() if mark in name]
    assert listed == [f"{mark}/x.pth"]
