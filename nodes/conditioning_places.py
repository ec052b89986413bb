"""Nodes that say where, when and how strongly a CONDITIONING acts."""

from __future__ import annotations

from torch import Tensor

from models.conditioning import Conditioning, masked, with_options
from nodes.base import MAX_RESOLUTION, Node, inputs

_LATENT = 8  # pixels per latent element along each side
_STRENGTH = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01})
_SIDE = ("INT", {"default": 64, "min": 64, "max": MAX_RESOLUTION, "step": _LATENT})
_OFFSET = ("INT", {"default": 0, "min": 0, "max": MAX_RESOLUTION, "step": _LATENT})
_FRACTION = ("FLOAT", {"default": 1.0, "min": 0, "max": 1.0, "step": 0.01})
_START = ("FLOAT", {"default": 0, "min": 0, "max": 1.0, "step": 0.01})
_MASK_BOUNDS = "mask bounds"


class ConditioningSetArea(Node):
    """Limits a prompt to a rectangle."""

    DISPLAY_NAME = "Conditioning (Set Area)"
    CATEGORY = "conditioning"
    REQUIRED = inputs(
        conditioning=("CONDITIONING",),
        width=_SIDE,
        height=_SIDE,
        x=_OFFSET,
        y=_OFFSET,
        strength=_STRENGTH,
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self, conditioning: Conditioning, width: int, height: int, x: int, y: int, strength: float
    ) -> tuple[Conditioning]:
        """In pixels of the picture."""
        area = tuple(pixels // _LATENT for pixels in (height, width, y, x))
        options = {"area": area, "strength": strength, "set_area_to_bounds": False}
        return (with_options(conditioning, options),)


class ConditioningSetAreaPercentage(Node):
    """Limits a prompt to a rectangle that is given in parts of the picture."""

    DISPLAY_NAME = "Conditioning (Set Area with Percentage)"
    CATEGORY = "conditioning"
    REQUIRED = inputs(
        conditioning=("CONDITIONING",),
        width=_FRACTION,
        height=_FRACTION,
        x=_START,
        y=_START,
        strength=_STRENGTH,
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self,
        conditioning: Conditioning,
        width: float,
        height: float,
        x: float,
        y: float,
        strength: float,
    ) -> tuple[Conditioning]:
        """1 is the whole side."""
        area = ("percentage", height, width, y, x)
        options = {"area": area, "strength": strength, "set_area_to_bounds": False}
        return (with_options(conditioning, options),)


class ConditioningSetAreaPercentageVideo(Node):
    """Limits a prompt to a box in space and time."""

    CATEGORY = "conditioning"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_video_model"
    REQUIRED = inputs(
        conditioning=("CONDITIONING",),
        width=_FRACTION,
        height=_FRACTION,
        temporal=_FRACTION,
        x=_START,
        y=_START,
        z=_START,
        strength=_STRENGTH,
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self,
        conditioning: Conditioning,
        width: float,
        height: float,
        temporal: float,
        x: float,
        y: float,
        z: float,
        strength: float,
    ) -> tuple[Conditioning]:
        """1 is the whole side, or the whole film."""
        area = ("percentage", temporal, height, width, z, y, x)
        options = {"area": area, "strength": strength, "set_area_to_bounds": False}
        return (with_options(conditioning, options),)


class ConditioningSetAreaStrength(Node):
    """How much a prompt counts beside others."""

    CATEGORY = "conditioning"
    REQUIRED = inputs(conditioning=("CONDITIONING",), strength=_STRENGTH)
    RETURN_TYPES = ("CONDITIONING",)

    def run(self, conditioning: Conditioning, strength: float) -> tuple[Conditioning]:
        """Relative to the strengths of the others."""
        return (with_options(conditioning, {"strength": strength}),)


class ConditioningSetMask(Node):
    """Limits a prompt to a mask."""

    DISPLAY_NAME = "Conditioning (Set Mask)"
    CATEGORY = "conditioning"
    REQUIRED = inputs(
        conditioning=("CONDITIONING",),
        mask=("MASK",),
        strength=_STRENGTH,
        set_cond_area=(["default", _MASK_BOUNDS],),
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self, conditioning: Conditioning, mask: Tensor, set_cond_area: str, strength: float
    ) -> tuple[Conditioning]:
        """With "mask bounds" the model sees only the part of the picture around the mask."""
        cropped = set_cond_area == _MASK_BOUNDS
        return (masked(conditioning, mask, strength, cropped=cropped),)


class ConditioningSetTimestepRange(Node):
    """Limits a prompt to a part of the run."""

    CATEGORY = "advanced/conditioning"
    REQUIRED = inputs(
        conditioning=("CONDITIONING",),
        start=("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.001}),
        end=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.001}),
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(self, conditioning: Conditioning, start: float, end: float) -> tuple[Conditioning]:
        """0 is the noisiest level of the model, 1 the clean picture."""
        return (with_options(conditioning, {"start_percent": start, "end_percent": end}),)
