"""MiniMax-H3: films with their sounds, of a prompt and what it refers to.

Sizes of what is given are those of diffusers' modular pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.errors import InvalidInput
from models.joint_latent import JointLatent
from models.protocol.joint import JointModel
from models.protocol.latent_formats import MiniMaxH3 as Films
from models.protocol.minimax_h3_layout import SIDES, Given
from models.protocol.patcher import ModelPatcher
from models.protocol.reparametrised import film_and_sound_flow
from models.text.handle import TextHandle
from models.text.minimax_h3 import Reference, asked
from nodes.audio_vae import encoded as encoded_sound
from nodes.base import Declared, inputs
from nodes.missing_parts import AnyVae, need_audio_vae, need_text_encoder
from nodes.pixel_space import Vae
from nodes.schema import DynamicNode, SchemaNode, growing
from nodes.sound_files import Sound
from nodes.tensors.latents import Latent
from nodes.tensors.pictures import in_color, scaled
from nodes.video_conditioning.frames import encoded, pixels

_MODULE: Final = "comfy_extras.nodes_minimax_h3"
_CATEGORY: Final = "conditioning/video_models"
_RATE: Final = 24  # frames a second
_SOUND_RATE: Final = 40  # latent frames of a sound a second
_SOUND_CHANNELS: Final = 32  # of a side
_STEP: Final = 32  # sides of films and pictures are multiples of
_CLIP: Final = 17  # frames that are encoded together
_REST: Final = 5  # frames after the last clip
_REST_LATENTS: Final = 2
_SHORT_SIDE: Final = 768  # of films to refer to
_MOST_PIXELS: Final = 768 * 1344
_LARGE_SIDE: Final = 2048  # the short side of large pictures to refer to
_LEAST_FRAMES: Final = 13  # of a film to refer to: two are looked at
_SLIMMEST: Final = 4  # times as long as wide
_TEXT: Final = ("STRING", {"multiline": True, "dynamicPrompts": True})
_LENGTH: Final[Declared] = ("INT", {"default": 124, "min": 5, "max": 3600, "step": _CLIP})

Result = tuple[Conditioning, Latent]


class MiniMaxH3SigmaShift(SchemaNode):
    """Gives MiniMax-H3 other shifts of noise levels."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = "advanced/model"
    REQUIRED = inputs(
        model=("MODEL",),
        shift_video=("FLOAT", {"default": 12.0, "min": 0.01, "max": 100.0, "step": 0.01}),
        shift_audio=("FLOAT", {"default": 3.0, "min": 0.01, "max": 100.0, "step": 0.01}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self, model: ModelPatcher, shift_video: float, shift_audio: float
    ) -> tuple[ModelPatcher]:
        """Schedulers see that of films; sounds follow. Raises InvalidInput for another model."""
        if not isinstance(model.model, JointModel):
            raise InvalidInput("this model makes no films with sounds")
        return (film_and_sound_flow(model, shift_video, shift_audio),)


class MiniMaxH3ImageToVideo(SchemaNode):
    """A prompt for MiniMax-H3, with the first frame and the last one where they are given."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = _CATEGORY
    REQUIRED = inputs(
        clip=("CLIP",),
        vae=("VAE",),
        prompt=_TEXT,
        width=pixels(1344, least=_STEP, step=_STEP),
        height=pixels(768, least=_STEP, step=_STEP),
        length=_LENGTH,
    )
    OPTIONAL = inputs(first_frame=("IMAGE",), last_frame=("IMAGE",))
    RETURN_TYPES = ("CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "LATENT")

    def run(
        self,
        clip: TextHandle | None,
        vae: Vae | None,
        prompt: str,
        width: int,
        height: int,
        length: int,
        first_frame: Tensor | None = None,
        last_frame: Tensor | None = None,
    ) -> Result:
        """The first frame is stretched to the film's sides, the last one covers them and is cut."""
        frames = []
        for image, place in ((first_frame, "first"), (last_frame, "last")):
            if image is not None:
                frame = scaled(_one(image), width, height, "lanczos", crop=place == "last")
                given = Given(film=encoded(vae, frame), keyframe=place)
                frames.append(Reference(given=given, frames=frame))
        return asked(need_text_encoder(clip), prompt, frames), empty(width, height, length)


class MiniMaxH3ReferenceToVideo(DynamicNode):
    """A prompt for MiniMax-H3, with pictures, films and sounds that it can call by number."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = _CATEGORY
    REQUIRED = inputs(
        clip=("CLIP",),
        prompt=_TEXT,
        width=pixels(1344, least=_STEP, step=_STEP),
        height=pixels(768, least=_STEP, step=_STEP),
        length=_LENGTH,
        ref_image_size=(["match", "max"], {"default": "match"}),
    )
    OPTIONAL = inputs(
        vae=("VAE",),
        audio_vae=("VAE",),
        ref_images=growing("ref_image", ("IMAGE",), names="ref_image_", least=0, most=9),
        ref_videos=growing("ref_video", ("IMAGE",), names="ref_video_", least=0, most=3),
        ref_video_audios=growing(
            "ref_video_audio", ("AUDIO",), names="ref_video_audio_", least=0, most=3
        ),
        ref_audios=growing("ref_audio", ("AUDIO",), names="ref_audio_", least=0, most=3),
    )
    RETURN_TYPES = ("CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "LATENT")

    def run(
        self,
        clip: TextHandle | None,
        prompt: str,
        width: int,
        height: int,
        length: int,
        ref_image_size: str,
        vae: Vae | None = None,
        audio_vae: AnyVae | None = None,
        ref_images: Mapping[str, Tensor] | None = None,
        ref_videos: Mapping[str, Tensor] | None = None,
        ref_video_audios: Mapping[str, Sound] | None = None,
        ref_audios: Mapping[str, Sound] | None = None,
    ) -> Result:
        """Pictures come first, then films, with the sounds of the same number, then sounds.

        `match` gives pictures about as many pixels as the film has, `max` a short side of 2048.
        """
        frames = whole(length)
        area = width * height if ref_image_size == "match" else None
        soundtracks = ref_video_audios or {}
        references: list[Reference] = []
        for image in _in_order(ref_images):
            picture = picture_for(image, area)
            references.append(Reference(given=Given(film=encoded(vae, picture)), frames=picture))
        for name, film in sorted((ref_videos or {}).items()):
            seen = film_for(film, frames)
            sound = soundtracks.get(name.replace("ref_video_", "ref_video_audio_"))
            heard = None if sound is None else _heard(audio_vae, sound, frames)
            given = Given(film=encoded(vae, _in_clips(seen)), sound=heard)
            references.append(Reference(given=given, frames=seen))
        for sound in _in_order(ref_audios):
            references.append(Reference(given=Given(sound=_heard(audio_vae, sound, frames))))
        return asked(need_text_encoder(clip), prompt, references), empty(width, height, length)


def whole(length: int) -> int:
    """The number of frames that is a whole number of clips and a rest: 17 n + 5 or more."""
    return length + (_REST - length) % _CLIP


def empty(width: int, height: int, length: int) -> Latent:
    """Zeros for a film of whole clips [1, 24, t, height / 16, width / 16], and for its sound."""
    frames = whole(length)
    clips = (frames - _REST) // _CLIP
    scale = Films.spacial_downscale_ratio
    sides = (height // _STEP * _STEP // scale, width // _STEP * _STEP // scale)
    film = torch.zeros(1, Films.latent_channels, clips * _REST + _REST_LATENTS, *sides)
    sound = torch.zeros(1, SIDES * _SOUND_CHANNELS, round(frames / _RATE * _SOUND_RATE))
    return {"samples": JointLatent((film, sound))}


def picture_for(image: Tensor, area: int | None) -> Tensor:
    """The first picture [1, H, W, 3], of about that area, or with a large short side."""
    picture = _one(image)
    height, width = picture.shape[1:3]
    scale = sqrt(area / (width * height)) if area else _LARGE_SIDE / min(width, height)
    return scaled(picture, *_stepped(width * scale, height * scale), "lanczos")


def film_for(film: Tensor, frames: int) -> Tensor:
    """At most so many frames [T, H, W, 3] of a film, as large as MiniMax-H3 makes films."""
    cut = in_color(film[:frames])[..., :3]
    height, width = cut.shape[1:3]
    if max(height, width) > _SLIMMEST * min(height, width):
        raise InvalidInput(
            f"films to refer to must be within 1:4 and 4:1, and this one has {width} x {height}"
        )
    if len(cut) < _LEAST_FRAMES:
        raise InvalidInput(f"films to refer to must have {_LEAST_FRAMES} frames or more")
    scale = _SHORT_SIDE / min(height, width)
    scale *= min(1.0, sqrt(_MOST_PIXELS / (width * height * scale**2)))
    return scaled(cut, *_stepped(width * scale, height * scale), "lanczos")


def _stepped(width: float, height: float) -> tuple[int, int]:
    sides = (max(_STEP, round(side / _STEP) * _STEP) for side in (width, height))
    return next(sides), next(sides)


def _one(image: Tensor) -> Tensor:
    return in_color(image[:1])[..., :3]


def _in_clips(film: Tensor) -> Tensor:
    """Whole clips of a film; of a film that is shorter than one and a rest, all and maybe more."""
    least = _CLIP + _REST
    missing = least - len(film)
    if missing > 0:
        return (
            torch.cat([film, film[-1:].expand(missing, -1, -1, -1)]) if len(film) > _CLIP else film
        )
    return film[: (len(film) - _REST) // _CLIP * _CLIP + _REST]


def _in_order(group: Mapping[str, Any] | None) -> Iterator[Any]:
    return (value for _, value in sorted((group or {}).items()) if value is not None)


def _heard(vae: AnyVae | None, sound: Sound, frames: int) -> Tensor:
    """The latent [1, 2 C, T] of a sound, no longer than so many frames."""
    encoder = need_audio_vae(vae)
    most = int(frames / _RATE * sound["sample_rate"])
    cut: Sound = {**sound, "waveform": sound["waveform"][:1, :, :most]}
    latent: Tensor = encoded_sound(encoder, cut)["samples"]
    return latent
