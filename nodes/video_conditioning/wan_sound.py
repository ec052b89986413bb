"""Wan's models whose people speak and sing: Wan-S2V (Gao et al. 2025, arXiv:2508.18621).

The layout is that of the authors' code. Long films are made in parts, each of which is told of the
frames before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from models.conditioning import Conditioning, appended, with_options
from models.errors import InvalidInput
from nodes.base import inputs
from nodes.missing_parts import need_vae
from nodes.pixel_space import Vae
from nodes.tensors.heard import heard_in_frames
from nodes.tensors.latents import Latent
from nodes.video_conditioning.base import Result, WanNode
from nodes.video_conditioning.frames import (
    FRAMES,
    empty_latent,
    encoded,
    film_of_grey,
    fitted,
    frame_count,
    latent_frames,
)

Heard: TypeAlias = Mapping[str, Any]  # AUDIO_ENCODER_OUTPUT: hidden_states, 50 a second

_RATE: Final = 16  # frames a second
_BEFORE: Final = 73  # frames of what was before that a model is told of
_CONTEXT: Final = 19  # latent frames that stand for them
_BLACK: Final = 0.0  # frames of a film to follow that has ended
_SCALE: Final = 8  # pixels of a latent element


class WanSoundImageToVideo(WanNode):
    """Gives a model a sound, and the picture of who is heard."""

    REQUIRED = inputs(**{**WanNode.REQUIRED, "length": frame_count(77)})
    OPTIONAL = inputs(
        audio_encoder_output=("AUDIO_ENCODER_OUTPUT", {}),
        ref_image=("IMAGE", {}),
        control_video=("IMAGE", {}),
        ref_motion=("IMAGE", {}),
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
        audio_encoder_output: Heard | None = None,
        ref_image: Tensor | None = None,
        control_video: Tensor | None = None,
        ref_motion: Tensor | None = None,
    ) -> Result:
        """Of `ref_motion` the last 73 frames are those before the film."""
        part = _Part(vae, (width, height), latent_frames(length), start=0)
        options = part.options(ref_motion, control_video)
        positive, negative = part.told(positive, negative, options, audio_encoder_output, ref_image)
        return positive, negative, empty_latent(batch_size, length, width, height)


class WanSoundImageToVideoExtend(WanNode):
    """Gives a model the next part of a sound, and the film that is there."""

    REQUIRED = inputs(
        **{name: WanNode.REQUIRED[name] for name in ("positive", "negative", "vae")},
        length=frame_count(77),
        video_latent=("LATENT", {}),
    )
    OPTIONAL = inputs(
        audio_encoder_output=("AUDIO_ENCODER_OUTPUT", {}),
        ref_image=("IMAGE", {}),
        control_video=("IMAGE", {}),
    )

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        vae: Vae | None,
        length: int,
        video_latent: Latent,
        audio_encoder_output: Heard | None = None,
        ref_image: Tensor | None = None,
        control_video: Tensor | None = None,
    ) -> Result:
        """The end of the film is decoded, and its last 73 frames are encoded anew."""
        samples: Tensor = video_latent["samples"]
        if samples.ndim != 5:
            raise InvalidInput("this node continues a film, and its latent is one of pictures")
        height, width = (side * _SCALE for side in samples.shape[-2:])
        start = samples.shape[2] * FRAMES
        part = _Part(vae, (width, height), latent_frames(length), start=start)
        end = samples[:1, :, -2 * _CONTEXT :]  # the first of these frames lack what was before
        options = part.options(need_vae(vae).decode(end), control_video)
        positive, negative = part.told(positive, negative, options, audio_encoder_output, ref_image)
        return positive, negative, empty_latent(len(samples), length, width, height)


class _Part:
    """A part of a film: `frames` latent frames from the frame `start` on."""

    def __init__(self, vae: Vae | None, size: tuple[int, int], frames: int, start: int) -> None:
        self.vae, self.size, self.frames, self.start = vae, size, frames, start

    def options(self, before: Tensor | None, control: Tensor | None) -> dict[str, Any]:
        """Latents of the frames before this part [1, 16, 19, h, w], and of a film to follow."""
        options: dict[str, Any] = {}
        if before is not None:
            given = fitted(before[-_BEFORE:], *self.size)
            grey = film_of_grey(_BEFORE - len(given), *self.size, given)
            options["reference_motion"] = encoded(self.vae, torch.cat([grey, given]))
        if control is not None:
            options["control_video"] = self._followed(control)
        return options

    def _followed(self, control: Tensor) -> Tensor:
        """[1, 16, t, h, w]: each latent frame stands for four, the first one as well."""
        count = self.frames * FRAMES
        there = control[self.start : self.start + count]
        film = control.new_full((count, *reversed(self.size), 3), _BLACK)
        if len(there):
            film[: len(there)] = fitted(there, *self.size)
        return encoded(self.vae, torch.cat([film[:1], film]))[:, :, 1:]

    def told(
        self,
        positive: Conditioning,
        negative: Conditioning,
        options: dict[str, Any],
        output: Heard | None,
        reference: Tensor | None,
    ) -> tuple[Conditioning, Conditioning]:
        """Both sides with the options; the negative one hears nothing."""
        heard, silent = options, options
        if output is not None:
            count = self.frames * FRAMES
            sound = heard_in_frames(output["hidden_states"], self.start, count, _RATE)
            heard = {**options, "audio_embed": sound}
            silent = {**options, "audio_embed": torch.zeros_like(sound)}
        positive, negative = with_options(positive, heard), with_options(negative, silent)
        if reference is not None:
            picture = [encoded(self.vae, fitted(reference[:1], *self.size))]
            positive = appended(positive, "reference_latents", picture)
            negative = appended(negative, "reference_latents", picture)
        return positive, negative
