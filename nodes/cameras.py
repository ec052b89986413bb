"""Nodes of later releases that place a camera."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from torch import Tensor

from nodes.base import inputs
from nodes.schema import SchemaNode

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
        yaw, pitch = math.radians(horizontal_angle), math.radians(vertical_angle)
        place = (math.cos(pitch) * math.sin(yaw), math.sin(pitch), math.cos(pitch) * math.cos(yaw))
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


def _below(bounds: Sequence[tuple[float, str]], value: float, otherwise: str) -> str:
    """The text of the first bound that a value is below."""
    return next((text for bound, text in bounds if value < bound), otherwise)
