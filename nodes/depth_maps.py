"""Nodes that make pictures of the depth that Depth Anything 3 sees.

H. Lin et al., "Depth Anything 3: Recovering the visual space from any views", 2025
(arXiv:2511.10647).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from models.errors import InvalidInput
from models.geometry.shapes import DepthMaps
from nodes.base import inputs
from nodes.schema import DynamicNode, opening
from nodes.tensors.color_maps import turbo
from nodes.tensors.depth_maps import as_brightness, clip_sky

_DEPTH: Final = inputs(
    normalization=(["v2_style", "min_max", "raw"],),
    apply_sky_clip=("BOOLEAN", {"default": False}),
)
_MAP: Final = inputs(colored=("BOOLEAN", {"default": False}))


class DA3Render(DynamicNode):
    """Makes pictures of depth, of the sky, or of how sure the network is."""

    DISPLAY_NAME = "DA3 Render"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_depth_anything_3"
    CATEGORY = "image/geometry"
    REQUIRED = inputs(
        da3_geometry=("DA3_GEOMETRY",),
        output=opening(
            {"depth": _DEPTH, "depth_colored": _DEPTH, "sky_mask": _MAP, "confidence": _MAP}
        ),
    )
    RETURN_TYPES = ("IMAGE",)

    def run(self, da3_geometry: DepthMaps, output: Mapping[str, Any]) -> tuple[Tensor]:
        """[B, H, W, 3]; `raw` depth is in units of the network, else near is bright, or red."""
        kind = output["output"]
        if kind == "sky_mask":
            values = _given(da3_geometry, "sky").clamp(0, 1)
            colored = output["colored"]
        elif kind == "confidence":
            values = _stretched(_given(da3_geometry, "confidence"))
            colored = output["colored"]
        else:
            depth = _given(da3_geometry, "depth")
            sky = _given(da3_geometry, "sky") if "sky" in da3_geometry else None
            if sky is not None and sky.shape != depth.shape:
                raise InvalidInput(
                    f"maps of sky and depth have different shapes: {list(sky.shape)} and "
                    f"{list(depth.shape)}"
                )
            if output["apply_sky_clip"]:
                depth = clip_sky(depth, _given(da3_geometry, "sky"))
            values = as_brightness(depth, sky, output["normalization"])
            colored = kind == "depth_colored"
        if colored:
            return (turbo(values),)
        return (values[..., None].expand(-1, -1, -1, 3).contiguous(),)


def _given(geometry: DepthMaps, name: str) -> Tensor:
    """A map. Raises InvalidInput where the network gives none."""
    found = geometry.get(name) if isinstance(geometry, Mapping) else None
    if not isinstance(found, Tensor):
        raise InvalidInput(f"this geometry has no map of {name}: its network does not give one")
    return found


def _stretched(values: Tensor) -> Tensor:
    """Each map from its least value, 0, to its greatest, 1."""
    least, most = values.amin(dim=(1, 2), keepdim=True), values.amax(dim=(1, 2), keepdim=True)
    return (values - least) / (most - least).clamp(min=1e-12)
