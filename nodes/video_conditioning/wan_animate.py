"""Wan Animate: a person in a picture moves, or takes the place of another, as a film shows.

The layout is that of diffusers' WanAnimatePipeline (Cheng et al. 2025, arXiv:2509.14055). Long
films are made in parts, each of which begins with the last frames of the part before.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any, ClassVar, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.conditioning import Conditioning, with_options
from models.vision import VisionOutput
from nodes.base import inputs
from nodes.pixel_space import Vae
from nodes.tensors.latents import Latent
from nodes.tensors.pictures import scaled
from nodes.video_conditioning.base import WanNode, seen
from nodes.video_conditioning.frames import (
    FRAMES,
    empty_latent,
    encoded,
    film_of_grey,
    fitted,
    frame_count,
    mask_of,
)

_FACE: Final = 512  # pixels along each side of what the model sees of faces
REFERENCE: Final = 1  # latent frames before those of the film


class WanAnimateToVideo(WanNode):
    """Gives a model the picture of a person, and films of how to move."""

    EXPERIMENTAL = True
    REQUIRED = inputs(
        **{**WanNode.REQUIRED, "length": frame_count(77)},
        continue_motion_max_frames=frame_count(5),
        video_frame_offset=("INT", {"default": 0, "min": 0, "max": 16384, "step": 1}),
    )
    OPTIONAL = inputs(
        clip_vision_output=("CLIP_VISION_OUTPUT", {}),
        reference_image=("IMAGE", {}),
        face_video=("IMAGE", {}),
        pose_video=("IMAGE", {}),
        background_video=("IMAGE", {}),
        character_mask=("MASK", {}),
        continue_motion=("IMAGE", {}),
    )
    RETURN_TYPES: ClassVar[tuple[str, ...]] = (*WanNode.RETURN_TYPES, "INT", "INT", "INT")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = (
        *WanNode.RETURN_NAMES,
        "trim_latent",
        "trim_image",
        "video_frame_offset",
    )

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        vae: Vae | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        continue_motion_max_frames: int,
        video_frame_offset: int,
        reference_image: Tensor | None = None,
        clip_vision_output: VisionOutput | None = None,
        face_video: Tensor | None = None,
        pose_video: Tensor | None = None,
        continue_motion: Tensor | None = None,
        background_video: Tensor | None = None,
        character_mask: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent, int, int, int]:
        """`trim_latent`, `trim_image`: what is cut off the result; the last is for a next part.

        The latent begins with a frame for the picture. Films that are too short go back and forth.
        """
        before = _last(continue_motion, continue_motion_max_frames, length)
        given = 0 if before is None else len(before)
        start = max(0, video_frame_offset - given)
        size = (width, height)
        film = film_of_grey(length, width, height)
        to_make = torch.ones(length, height, width)
        if background_video is not None:
            film = fitted(part_of(background_video, start, length), width, height)
            if character_mask is not None:
                to_make = _mask(character_mask, start, length, size)
        if before is not None:
            film[:given] = fitted(before, width, height)
            to_make[:given] = 0
        options = with_reference(vae, film, to_make, reference_image, size)
        options |= seen(clip_vision_output)
        if pose_video is not None:
            pose = fitted(part_of(pose_video, start, length), width, height)
            options["pose_video_latent"] = encoded(vae, pose)
        shown, hidden = options, options
        if face_video is not None:
            faces = _faces(part_of(face_video, start, length))
            shown = {**options, "face_video_pixels": faces}
            hidden = {**options, "face_video_pixels": torch.full_like(faces, -1.0)}
        latent = empty_latent(batch_size, length, width, height)["samples"]
        whole = functional.pad(latent, (0, 0, 0, 0, REFERENCE, 0))
        return (
            with_options(positive, shown),
            with_options(negative, hidden),
            {"samples": whole},
            REFERENCE,
            given,
            start + length,
        )


def _last(film: Tensor | None, most: int, length: int) -> Tensor | None:
    """The last frames of a film, at most so many, and fewer than the next part has."""
    if film is None:
        return None
    count = min(most, len(film), length - 1)
    return film[-count:] if count else None


def part_of(film: Tensor, start: int, length: int) -> Tensor:
    """Frames from `start` on; after the last one it goes back, and forth again."""
    there = list(range(len(film)))
    turns = there + there[-2:0:-1]
    return film[list(islice(cycle(turns), start, start + length))]


def _mask(mask: Tensor, start: int, length: int, size: tuple[int, int]) -> Tensor:
    """What of each frame is to be made, [length, H, W] of zeros and ones."""
    frames = part_of(mask.reshape(-1, *mask.shape[-2:]), start, length)
    return scaled(frames[..., None], *size, "nearest-exact", crop=True)[..., 0].round()


def _faces(film: Tensor) -> Tensor:
    """[1, 3, T, 512, 512] in -1..1."""
    return (fitted(film, _FACE, _FACE) * 2 - 1).movedim(-1, 0)[None]


def with_reference(
    vae: Vae | None,
    film: Tensor,
    to_make: Tensor,
    reference: Tensor | None,
    size: tuple[int, int],
) -> dict[str, Any]:
    """The options that show a picture, and the film after it, and say what of them to make."""
    latent = encoded(vae, film)
    if reference is None:
        picture, is_missing = film_of_grey(1, *size), 1.0
    else:
        picture, is_missing = fitted(reference[:1], *size), 0.0
    first = encoded(vae, picture)
    small = functional.interpolate(to_make[:, None], size=latent.shape[-2:], mode="nearest")[:, 0]
    by_frame = torch.cat([small[:1].expand(FRAMES - 1, -1, -1), small])  # the first is four
    frames = latent.shape[2]
    by_latent = by_frame[: frames * FRAMES].reshape(frames, FRAMES, *latent.shape[3:]).movedim(1, 0)
    mask = torch.cat([mask_of([is_missing], first), by_latent[None].to(latent)], dim=2)
    return {"concat_latent_image": torch.cat([first, latent], dim=2), "concat_mask": mask}
