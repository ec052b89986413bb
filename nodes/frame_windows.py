"""Nodes that have long films sampled in windows."""

from __future__ import annotations

from typing import Any

from models.protocol.frame_windows import Windowed, in_windows
from models.protocol.patcher import ModelPatcher
from models.sampling.frame_windows import SCHEDULES, WEIGHTS, FrameWindows
from nodes.base import inputs
from nodes.schema import SchemaNode

_WAN_FRAMES = 4  # for each latent frame but the first
_WAN_DIM = 2
_STRIDE = ("INT", {"default": 1, "min": 1})
_LOOP = ("BOOLEAN", {"default": False})
_FUSE = (list(WEIGHTS), {"default": "pyramid"})


class ContextWindowsManual(SchemaNode):
    """Predicts parts of a batch or film one by one, and mixes them where they overlap."""

    DISPLAY_NAME = "Context Windows (Manual)"
    CATEGORY = "context"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_context_windows"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL", {}),
        context_length=("INT", {"default": 16, "min": 1}),
        context_overlap=("INT", {"default": 4, "min": 0}),
        context_schedule=(list(SCHEDULES),),
        context_stride=_STRIDE,
        closed_loop=_LOOP,
        fuse_method=_FUSE,
        dim=("INT", {"default": 0, "min": 0, "max": 5}),
        freenoise=_LOOP,
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self,
        model: ModelPatcher,
        context_length: int,
        context_overlap: int,
        context_schedule: str,
        context_stride: int,
        closed_loop: bool,
        fuse_method: str,
        dim: int,
        freenoise: bool,
    ) -> tuple[ModelPatcher]:
        """`dim` is the axis of the latent that has the frames; 0 is the batch."""
        windows = FrameWindows(
            length=context_length,
            overlap=context_overlap,
            stride=context_stride,
            schedule=context_schedule,
            closed_loop=closed_loop,
        )
        windowed = Windowed(windows=windows, dim=dim, weights=fuse_method)
        return (in_windows(model, windowed, shares_noise=freenoise),)


class WanContextWindowsManual(SchemaNode):
    """Predicts parts of a film of Wan one by one, and mixes them where they overlap."""

    DISPLAY_NAME = "WAN Context Windows (Manual)"
    CATEGORY = "context"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_context_windows"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL", {}),
        context_length=("INT", {"default": 81, "min": 1, "max": 16384, "step": 4}),
        context_overlap=("INT", {"default": 30, "min": 0}),
        context_schedule=(list(SCHEDULES),),
        context_stride=_STRIDE,
        closed_loop=_LOOP,
        fuse_method=_FUSE,
        freenoise=_LOOP,
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self, model: ModelPatcher, context_length: int, context_overlap: int, **choices: Any
    ) -> tuple[ModelPatcher]:
        """Lengths are in frames of the film, four of which are one of the latent."""
        length, overlap = (_latent_frames(n) for n in (context_length, context_overlap))
        made: tuple[ModelPatcher] = ContextWindowsManual().run(
            model, length, overlap, dim=_WAN_DIM, **choices
        )
        return made


def _latent_frames(frames: int) -> int:
    return max((frames - 1) // _WAN_FRAMES + 1, 0)
