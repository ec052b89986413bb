"""Nodes of later releases that place a camera."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from torch import Tensor

from nodes.base import Declared, inputs
from nodes.schema import DynamicNode, SchemaNode, opening

_DISTANCE: Final = 6.0  # of the camera from what it looks at
_FIELD_OF_VIEW: Final = 35  # degrees
_NEARER: Final = 0.875  # added to the camera's zoom over the whole range

# Sectors of 45 degrees, the first around 0.
_DIRECTIONS: Final = (
    "front view",
    "front-right quarter view",
    "right side view",
    "back-right quarter view",
    "back view",
    "back-left quarter view",
    "left side view",
    "front-left quarter view",
)
_HEIGHTS: Final = ((-15, "low-angle shot"), (15, "eye-level shot"), (45, "elevated shot"))
_DISTANCES: Final = ((2, "wide shot"), (6, "medium shot"))


class CameraAngle(SchemaNode):
    """Places a camera around the origin, and says in words from where it looks."""

    DISPLAY_NAME = "Camera Angle"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_camera_angle"
    CATEGORY = "utils"
    REQUIRED = inputs(
        horizontal_angle=("INT", {"default": 0, "min": 0, "max": 360}),
        vertical_angle=("INT", {"default": 0, "min": -30, "max": 60}),
        zoom=("FLOAT", {"default": 5.0, "min": 0.0, "max": 10.0, "step": 0.1}),
    )
    OPTIONAL = inputs(image=("IMAGE",), view=("STRING", {"default": ""}))
    RETURN_TYPES = ("LOAD3D_CAMERA", "STRING")
    RETURN_NAMES = ("camera_info", "prompt")

    def run(
        self,
        horizontal_angle: int,
        vertical_angle: int,
        zoom: float,
        image: Tensor | None = None,
        view: str = "",
    ) -> tuple[dict[str, Any], str]:
        """Angles in degrees. The picture and the view are for clients."""
        place = _direction(horizontal_angle, vertical_angle)
        camera = {
            "position": dict(zip("xyz", (_DISTANCE * part for part in place), strict=True)),
            "target": {"x": 0.0, "y": 0.0, "z": 0.0},
            "zoom": 1 + _NEARER * zoom / 10,
            "cameraType": "perspective",
            "fov": _FIELD_OF_VIEW,
        }
        sector = math.floor(horizontal_angle / 45 + 0.5) % len(_DIRECTIONS)
        height = _below(_HEIGHTS, vertical_angle, "high-angle shot")
        distance = _below(_DISTANCES, zoom, "close-up")
        return camera, f"{_DIRECTIONS[sector]} {height} {distance}"


def _coordinate(default: float = 0.0) -> Declared:
    return ("FLOAT", {"default": default, "min": -1000.0, "max": 1000.0})


def _degrees(default: float, most: float) -> Declared:
    return ("FLOAT", {"default": default, "min": -most, "max": most})


def _part(default: float) -> Declared:
    return ("FLOAT", {"default": default, "min": -1.0, "max": 1.0})


_POSITION: Final = inputs(
    position_x=_coordinate(4.0), position_y=_coordinate(4.0), position_z=_coordinate(4.0)
)


class CreateCameraInfo(DynamicNode):
    """Places a camera."""

    DISPLAY_NAME = "Create Camera Info"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_camera_info"
    CATEGORY = "3d"
    REQUIRED = inputs(
        mode=opening(
            {
                "orbit": inputs(
                    yaw=_degrees(35.0, 360.0),
                    pitch=_degrees(30.0, 89.0),
                    distance=("FLOAT", {"default": 4.0, "min": 0.01, "max": 1000.0}),
                ),
                "look_at": _POSITION,
                "quaternion": inputs(
                    **_POSITION,
                    quat_x=_part(0.0),
                    quat_y=_part(0.0),
                    quat_z=_part(0.0),
                    quat_w=_part(1.0),
                ),
            }
        )
    )
    OPTIONAL = inputs(
        target_x=_coordinate(),
        target_y=_coordinate(),
        target_z=_coordinate(),
        roll=_degrees(0.0, 180.0),
        fov=("FLOAT", {"default": 35.0, "min": 1.0, "max": 120.0}),
        zoom=("FLOAT", {"default": 1.0, "min": 0.01, "max": 100.0}),
        camera_type=(["perspective", "orthographic"], {"default": "perspective"}),
    )
    RETURN_TYPES = ("LOAD3D_CAMERA",)
    RETURN_NAMES = ("camera_info",)

    def run(
        self,
        mode: Mapping[str, Any],
        target_x: float = 0.0,
        target_y: float = 0.0,
        target_z: float = 0.0,
        roll: float = 0.0,
        fov: float = 35.0,
        zoom: float = 1.0,
        camera_type: str = "perspective",
    ) -> tuple[dict[str, Any]]:
        """Right-handed, Y is up, angles in degrees; from yaw 0 the camera looks along -Z."""
        target = (target_x, target_y, target_z)
        if mode["mode"] == "orbit":
            offset = _direction(mode["yaw"], mode["pitch"])
            place = tuple(t + mode["distance"] * o for t, o in zip(target, offset, strict=True))
        else:
            place = tuple(mode[f"position_{axis}"] for axis in "xyz")
        camera = {
            "position": dict(zip("xyz", place, strict=True)),
            "target": dict(zip("xyz", target, strict=True)),
            "zoom": zoom,
            "cameraType": camera_type,
            "fov": fov,
            "roll": roll,
        }
        if mode["mode"] == "quaternion":
            camera["quaternion"] = {axis: mode[f"quat_{axis}"] for axis in "xyzw"}
        return (camera,)


def _direction(yaw: float, pitch: float) -> tuple[float, float, float]:
    """Where angles in degrees lie on a ball around the origin."""
    turn, height = math.radians(yaw), math.radians(pitch)
    flat = math.cos(height)
    return (flat * math.sin(turn), math.sin(height), flat * math.cos(turn))


def _below(bounds: Sequence[tuple[float, str]], value: float, otherwise: str) -> str:
    """The text of the first bound that a value is below."""
    return next((text for bound, text in bounds if value < bound), otherwise)
