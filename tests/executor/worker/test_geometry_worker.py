"""The space in pictures in the real worker process: geometry, surfaces, Gaussians of a pack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from executor.messages import Finished, Ready
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models.geometry import test_depth_anything, test_moge
from tests.nodes.gaussian_scenes import read_ply
from tests.nodes.glb import read_glb

PACK = """
import torch
from comfy_api.latest import Types

class TwoGaussians:
    INPUT_TYPES = classmethod(lambda cls: {"required": {}})
    RETURN_TYPES = ("SPLAT",)
    FUNCTION = "make"
    CATEGORY = "test"

    def make(self):
        return (Types.SPLAT(
            positions=torch.tensor([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]),
            scales=torch.full((2, 3), 0.2),
            rotations=torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(2, 1),
            opacities=torch.full((2,), 0.9),
            harmonics=torch.tensor([[[1.7, -1.7, -1.7]], [[-1.7, -1.7, 1.7]]]),
        ),)

NODE_CLASS_MAPPINGS = {"TwoGaussians": TwoGaussians}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with tiny networks, a picture and a pack."""
    base = tmp_path_factory.mktemp("base")
    models = base / "models" / "geometry_estimation"
    for folder in (models, base / "input", base / "custom_nodes"):
        folder.mkdir(parents=True)
    test_moge.tiny_file(models, "first")
    test_moge.tiny_file(models, "second")
    test_depth_anything.tiny_file(models, "mono")
    test_depth_anything.tiny_file(models, "many")
    (base / "custom_nodes" / "gaussians.py").write_text(PACK)
    Image.linear_gradient("L").resize((98, 70)).convert("RGB").save(base / "input" / "ramp.png")
    return base


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


def ran(client: Client, prompt: dict[str, Any], *outputs: str) -> Finished:
    last = client.run(prompt, *outputs)[-1]
    assert isinstance(last, Finished)
    assert last.succeeded, last.messages[-1]
    return last


def picture(base: Path, entry: dict[str, Any]) -> NDArray[np.float32]:
    with Image.open(base / "output" / entry["subfolder"] / entry["filename"]) as opened:
        return np.asarray(opened, np.float32)


@pytest.mark.parametrize("version", ["first", "second"])
def test_a_picture_becomes_depth_and_a_surface(client: Client, base: Path, version: str) -> None:
    prompt = {
        "picture": node("LoadImage", image="ramp.png"),
        "model": node("LoadMoGeModel", model_name=f"{version}.safetensors"),
        "geometry": node(
            "MoGeInference", moge_model=["model", 0], image=["picture", 0], resolution_level=4,
            fov_x_degrees=50.0, batch_size=4, force_projection=True, apply_mask=False,
            refine_steps=3,
        ),
        "render": node("MoGeRender", moge_geometry=["geometry", 0], output="depth_colored"),
        "save": node("SaveImage", images=["render", 0], filename_prefix="depth"),
        "mesh": node(
            "MoGePointMapToMesh", moge_geometry=["geometry", 0], batch_index=0, decimation=2,
            discontinuity_threshold=1.0, texture=True,
        ),
        "glb": node("SaveGLB", mesh=["mesh", 0], filename_prefix="mesh"),
    }  # fmt: skip
    if version == "first":  # nothing of these random weights' picture is known
        del prompt["mesh"], prompt["glb"]
    done = ran(client, prompt, *(name for name in ("save", "glb") if name in prompt))
    (entry,) = done.outputs["save"]["images"]
    assert picture(base, entry).shape == (70, 98, 3)
    if version == "second":
        assert picture(base, entry).std() > 5
        (entry,) = done.outputs["glb"]["3d"]
        glb = read_glb((base / "output" / entry["subfolder"] / entry["filename"]).read_bytes())
        assert set(glb.attributes) == {"POSITION", "TEXCOORD_0"}
        assert glb.images[0].size == (98, 70)


@pytest.mark.parametrize(
    ("file", "mode"),
    [
        ("mono", {"mode": "mono"}),
        (
            "many",
            {
                "mode": "multiview",
                "mode.ref_view_strategy": "saddle_balanced",
                "mode.pose_method": "cam_dec",
            },
        ),
    ],
)
def test_depth_is_seen_and_drawn(
    client: Client, base: Path, file: str, mode: dict[str, str]
) -> None:
    prompt = {
        "picture": node("LoadImage", image="ramp.png"),
        "model": node("LoadDA3Model", model_name=f"{file}.safetensors", weight_dtype="default"),
        "geometry": node(
            "DA3Inference", da3_model=["model", 0], image=["picture", 0], resolution=140,
            resize_method="upper_bound_resize", **mode,
        ),
        "render": node(
            "DA3Render", da3_geometry=["geometry", 0], output="depth",
            **{"output.normalization": "v2_style", "output.apply_sky_clip": False},
        ),
        "save": node("SaveImage", images=["render", 0], filename_prefix="da3"),
    }  # fmt: skip
    (entry,) = ran(client, prompt, "save").outputs["save"]["images"]
    assert picture(base, entry).shape == (70, 98, 3)
    assert picture(base, entry).std() > 20


def test_a_network_of_another_kind_is_refused_by_name(client: Client) -> None:
    prompt = {
        "model": node("LoadMoGeModel", model_name="mono.safetensors"),
        "show": node("PreviewAny", source=["model", 0]),
    }
    last = client.run(prompt, "show")[-1]
    assert isinstance(last, Finished)
    assert not last.succeeded
    assert "fit no known model family" in str(last.messages)


def test_gaussians_of_a_pack_are_drawn_and_written(client: Client, base: Path) -> None:
    prompt = {
        "splat": node("TwoGaussians"),
        "camera": node(
            "CreateCameraInfo", mode="orbit",
            **{"mode.yaw": 0.0, "mode.pitch": 0.0, "mode.distance": 4.0},
        ),
        "render": node(
            "RenderSplat", splat=["splat", 0], width=128, height=64, frames=2, splat_scale=1.0,
            sharpen=2.0, headlight_shading=0.0, opacity_threshold=0.0, render_style="color",
            background="#00ff00", camera_info=["camera", 0],
        ),
        "save": node("SaveImage", images=["render", 0], filename_prefix="splat"),
        "file": node("SplatToFile3D", splat=["splat", 0], format="ply"),
        "keep": node(
            "Save3DAdvanced", model_3d=["file", 0], filename_prefix="3d/splat",
            viewport_state="", width=64, height=64,
        ),
        "mesh": node(
            "SplatToMesh", splat=["splat", 0], resolution=64, kernel=8, smooth=2, level=0.4,
            min_component=50, min_opacity=0.02, color_sharpen=2.0,
        ),
        "glb": node("SaveGLB", mesh=["mesh", 0], filename_prefix="mesh"),
    }  # fmt: skip
    done = ran(client, prompt, "save", "keep", "glb")
    front, back = (picture(base, entry) for entry in done.outputs["save"]["images"])
    left, right = front[32, 51], front[32, 76]
    assert left[0] > 200 > 60 > left[2]  # red on the left, and blue on the right
    assert right[2] > 200 > 60 > right[0]
    np.testing.assert_allclose(back[32, 51], right, atol=12)  # from behind the other way round
    assert front[2, 2].tolist() == [0, 255, 0]
    kept = next((base / "output" / "3d").glob("splat*.ply"))
    np.testing.assert_allclose(read_ply(kept.read_bytes())["x"], [-0.5, 0.5])
    (entry,) = done.outputs["glb"]["3d"]
    glb = read_glb((base / "output" / entry["subfolder"] / entry["filename"]).read_bytes())
    colors, x = glb.attributes["COLOR_0"], glb.attributes["POSITION"][:, 0]
    assert (colors[x < -0.3, 0] > colors[x < -0.3, 2]).all()
    assert (colors[x > 0.3, 2] > colors[x > 0.3, 0]).all()
