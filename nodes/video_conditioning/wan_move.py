"""Wan's models whose things move along drawn tracks: Wan-Move and ATI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from models.conditioning import Conditioning, with_options
from models.errors import InvalidInput
from models.vision import VisionOutput
from nodes.base import Declared, inputs
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.drawing import Brush, draw_trails
from nodes.tensors.motion import copied_along, spread_along
from nodes.tensors.pictures import in_color
from nodes.tensors.tracks import (
    COURSES,
    Tracks,
    as_tracks,
    joined,
    parallel_tracks,
    read_tracks,
    tracks_of,
)
from nodes.video_conditioning.base import Result, WanNode, seen
from nodes.video_conditioning.frames import empty_latent, nothing_for_wan, start_and_end

_SCALE: Final = 8  # pixels of a latent element


def _share(default: float, step: float = 0.01) -> Declared:
    return ("FLOAT", {"default": default, "min": 0.0, "max": 1.0, "step": step})


def _side(default: int) -> Declared:
    return ("INT", {"default": default, "min": 16, "max": 4096, "step": 16})


class _TracksNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_wanmove"
    CATEGORY = "conditioning/video_models"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("TRACKS", "INT")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("TRACKS", "track_length")


class WanMoveVisualizeTracks(_TracksNode):
    """Draws tracks over pictures."""

    REQUIRED = inputs(
        images=("IMAGE", {}),
        line_resolution=("INT", {"default": 24, "min": 1, "max": 1024}),
        circle_size=("INT", {"default": 12, "min": 1, "max": 128}),
        opacity=_share(0.75),
        line_width=("INT", {"default": 16, "min": 1, "max": 128}),
    )
    OPTIONAL = inputs(tracks=("TRACKS", {}))
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ()

    def run(
        self,
        images: Tensor,
        line_resolution: int,
        circle_size: int,
        opacity: float,
        line_width: int,
        tracks: Tracks | None = None,
    ) -> tuple[Tensor]:
        """A picture for each frame, the last one again where there are fewer pictures.

        Lines go back `line_resolution` frames; points that are not seen are not drawn.
        """
        if tracks is None:
            return (images,)
        tracks = as_tracks(tracks)
        if not len(images):
            raise InvalidInput("there is no picture to draw tracks on")
        brush = Brush(radius=circle_size / 2, width=line_width, opacity=opacity)
        drawn = []
        for frame in range(tracks.length):
            self.context.report(frame, tracks.length)
            image = in_color(images[min(frame, len(images) - 1)])[..., :3]
            drawn.append(draw_trails(image, _trails(tracks, frame, line_resolution), brush))
        return (torch.stack(drawn),)


def _trails(
    tracks: Tracks, frame: int, length: int
) -> Sequence[Sequence[tuple[float, float]] | None]:
    """Where the points of a frame have come from, `length` frames back; None for those unseen."""
    path = tracks.path[max(0, frame - length) : frame + 1].movedim(0, 1).tolist()
    shown = tracks.seen[frame].tolist()
    return [
        [(x, y) for x, y in way] if is_seen else None
        for way, is_seen in zip(path, shown, strict=True)
    ]


class WanMoveTracksFromCoords(_TracksNode):
    """Makes tracks of points that were written down."""

    OPTIONAL = inputs(
        track_coords=("STRING", {"default": "[]", "forceInput": True, "multiline": False}),
        track_mask=("MASK", {}),
    )

    def run(self, track_coords: str = "[]", track_mask: Tensor | None = None) -> tuple[Tracks, int]:
        """JSON, a list of tracks of points {"x", "y"}; a mask says where they are seen."""
        tracks = tracks_of(read_tracks(track_coords))
        if track_mask is not None:
            height, width = track_mask.shape[-2:]
            tracks = tracks.masked(track_mask, (width, height))
        return tracks, tracks.length


class GenerateTracks(_TracksNode):
    """Makes tracks side by side, straight or along a curve."""

    REQUIRED = inputs(
        width=_side(832),
        height=_side(480),
        start_x=_share(0.0),
        start_y=_share(0.0),
        end_x=_share(1.0),
        end_y=_share(1.0),
        num_frames=("INT", {"default": 81, "min": 1, "max": 1024}),
        num_tracks=("INT", {"default": 5, "min": 1, "max": 100}),
        track_spread=_share(0.025, step=0.001),
        bezier=("BOOLEAN", {"default": False}),
        mid_x=_share(0.5),
        mid_y=_share(0.5),
        interpolation=(list(COURSES),),
    )
    OPTIONAL = inputs(track_mask=("MASK", {}))

    def run(
        self,
        width: int,
        height: int,
        start_x: float,
        start_y: float,
        end_x: float,
        end_y: float,
        num_frames: int,
        num_tracks: int,
        track_spread: float,
        bezier: bool,
        mid_x: float,
        mid_y: float,
        interpolation: str,
        track_mask: Tensor | None = None,
    ) -> tuple[Tracks, int]:
        """Places are shares of the sides, the spread one of the width; the middle bends a curve."""
        shares = [(start_x, start_y), (mid_x, mid_y), (end_x, end_y)]
        if not bezier:
            del shares[1]
        corners = [(x * width, y * height) for x, y in shares]
        spread = track_spread * width
        tracks = parallel_tracks(corners, num_frames, num_tracks, spread, interpolation)
        if track_mask is not None:
            tracks = tracks.masked(track_mask, (width, height))
        return tracks, tracks.length


class WanMoveConcatTrack(_TracksNode):
    """Puts tracks together."""

    REQUIRED = inputs(tracks_1=("TRACKS", {}))
    OPTIONAL = inputs(tracks_2=("TRACKS", {}))
    RETURN_TYPES = ("TRACKS",)
    RETURN_NAMES = ()

    def run(self, tracks_1: Tracks, tracks_2: Tracks | None = None) -> tuple[Tracks]:
        """Those that end earlier go unseen."""
        first = as_tracks(tracks_1)
        return (first if tracks_2 is None else joined(first, as_tracks(tracks_2)),)


class WanMoveTrackToVideo(WanNode):
    """Tells Wan-Move how its film begins, and along which tracks things move."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_wanmove"
    REQUIRED = inputs(
        **{
            **{name: WanNode.REQUIRED[name] for name in ("positive", "negative", "vae")},
            "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.01}),
            **WanNode.REQUIRED,
        },
        start_image=("IMAGE", {}),
    )
    OPTIONAL = inputs(tracks=("TRACKS", {}), clip_vision_output=("CLIP_VISION_OUTPUT", {}))

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        vae: Vae | None,
        strength: float,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        start_image: Tensor,
        tracks: Tracks | None = None,
        clip_vision_output: VisionOutput | None = None,
    ) -> Result:
        """The layout of WanImageToVideo, with features of the first frame copied along tracks."""
        options = start_and_end(vae, (width, height, length), start_image, None)
        options |= seen(clip_vision_output)
        if tracks is not None:
            latent = options["concat_latent_image"]
            options["concat_latent_image"] = copied_along(latent, tracks, _SCALE, strength)
        return (
            with_options(positive, options),
            with_options(negative, options),
            empty_latent(batch_size, length, width, height),
        )


class WanTrackToVideo(WanNode):
    """Tells ATI how its film begins, and along which tracks things move."""

    REQUIRED = inputs(
        **{
            **{name: WanNode.REQUIRED[name] for name in ("positive", "negative", "vae")},
            "tracks": ("STRING", {"default": "[]", "multiline": True}),
            **WanNode.REQUIRED,
        },
        temperature=("FLOAT", {"default": 220.0, "min": 1.0, "max": 1000.0, "step": 0.1}),
        topk=("INT", {"default": 2, "min": 1, "max": 10}),
        start_image=("IMAGE", {}),
    )
    OPTIONAL = inputs(clip_vision_output=("CLIP_VISION_OUTPUT", {}))

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        vae: Vae | None,
        tracks: str,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        temperature: float,
        topk: int,
        start_image: Tensor,
        clip_vision_output: VisionOutput | None = None,
    ) -> Result:
        """The layout of WanImageToVideo; what moves counts as given, by its weight in the mask."""
        points = read_tracks(tracks)
        options = start_and_end(vae, (width, height, length), start_image, None)
        options |= seen(clip_vision_output)
        options |= _spread(options, points, (width, height), temperature, topk)
        return (
            with_options(positive, options),
            with_options(negative, options),
            empty_latent(batch_size, length, width, height),
        )


def _spread(
    shown: dict[str, Any],
    tracks: Sequence[Tensor],
    size: tuple[int, int],
    temperature: float,
    strongest: int,
) -> dict[str, Any]:
    """What changes of the options for ATI."""
    if not tracks:
        return {}
    latent = shown["concat_latent_image"]
    middle = nothing_for_wan(latent)  # that of the model's space, whose scale does not matter
    moved, weights = spread_along(
        latent - middle, tracks, size, temperature=temperature, strongest=strongest
    )
    mask = (1 - weights).expand(-1, shown["concat_mask"].shape[1], -1, -1, -1)
    return {"concat_latent_image": moved + middle, "concat_mask": mask.contiguous()}
