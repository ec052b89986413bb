"""LTX-Video: films that begin with a picture or have given frames anywhere.

The layout is that of diffusers' LTXConditionPipeline (HaCohen et al. 2024, arXiv:2501.00103): the
noise mask is what is left to make of each latent frame, and frames that guide others without being
part of the film are attached to its end until they are cut off again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from models.conditioning import Conditioning, appended
from models.errors import InvalidInput
from nodes.base import inputs
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent, with_samples
from nodes.video_conditioning.base import Result
from nodes.video_conditioning.frames import (
    BATCH,
    beginning,
    check_same_space,
    empty_latent,
    encoded,
    fitted,
    frame_count,
    frames_of,
    noise_mask,
    pixels,
    placed,
    whole_latent_frames,
)

_FRAMES: Final = 8  # that a latent frame stands for, after the first
_SCALE: Final = 32  # pixels of a latent element
_PREFIX: Final = 2  # latent frames of a given film that stay apart from the film they guide
_GUIDES: Final = "keyframes"  # the option: [{"frame": in pixels, "latent_frames": how many}, ...]


class LTXVImgToVideo(SchemaNode):
    """Has a film begin with a picture."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_lt"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        vae=("VAE", {}),
        image=("IMAGE", {}),
        width=pixels(768, least=64, step=32),
        height=pixels(512, least=64, step=32),
        length=frame_count(97, least=9, step=8),
        batch_size=BATCH,
        strength=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}),
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        image: Tensor,
        vae: Vae | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        strength: float,
    ) -> Result:
        """[B, 128, t, height / 32, width / 32]; several pictures are the first frames."""
        empty = empty_latent(
            batch_size, length, width, height, channels=128, scale=_SCALE, frames=_FRAMES
        )
        film = whole_latent_frames(fitted(image, width, height, length), _FRAMES)
        return positive, negative, beginning(empty, encoded(vae, film), left=1 - strength)


class LTXVImgToVideoInplace(SchemaNode):
    """Has a film that is there begin with a picture."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_lt"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        vae=("VAE", {}),
        image=("IMAGE", {}),
        latent=("LATENT", {}),
        strength=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}),
        bypass=("BOOLEAN", {"default": False}),
    )
    RETURN_TYPES = ("LATENT",)
    RETURN_NAMES = ("latent",)

    def run(
        self,
        vae: Vae | None,
        image: Tensor,
        latent: Latent,
        strength: float,
        bypass: bool = False,
    ) -> tuple[Latent]:
        """With `bypass` the latent stays as it is."""
        if bypass:
            return (latent,)
        given = encoded(vae, _film_for(frames_of(latent), image, 0))
        return (beginning(latent, given, left=1 - strength),)


class LTXVAddGuide(SchemaNode):
    """Gives frames that a film is to go through."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_lt"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        vae=("VAE", {}),
        latent=("LATENT", {}),
        image=("IMAGE", {}),
        frame_idx=("INT", {"default": 0, "min": -9999, "max": 9999}),
        strength=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
    )
    OPTIONAL = inputs(iclora_parameters=("IC_LORA_PARAMETERS", {}))
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        vae: Vae | None,
        latent: Latent,
        image: Tensor,
        frame_idx: int,
        strength: float,
        iclora_parameters: Mapping[str, float] | None = None,
    ) -> Result:
        """A negative `frame_idx` counts from the end; a film of several begins at a multiple of 8.

        The option `keyframes` says which frames are attached, and what they are of the film.
        Guides of in-context LoRAs that are smaller than the film are refused (InvalidInput).
        """
        if (iclora_parameters or {}).get("reference_downscale_factor", 1) != 1:
            raise InvalidInput(
                "this LoRA wants pictures that are smaller than the film: they cannot guide one yet"
            )
        samples = frames_of(latent)
        guides = _guides(positive)
        attached = sum(guide["latent_frames"] for guide in guides)
        own = samples.shape[2] - attached
        frame = _frame(frame_idx, own, several=len(image) > 1)
        given = encoded(vae, _film_for(samples[:, :, :own], image, frame))
        left = 1 - strength
        if frame == 0:
            return positive, negative, beginning(latent, given, left=left)
        if given.shape[2] > 1:
            rest = given[:, :, _PREFIX:]
            latent = placed(latent, rest, frame // _FRAMES + _PREFIX, left=left)
            given = given[:, :, :_PREFIX]
        added = [{"frame": frame, "latent_frames": given.shape[2]}]
        return (
            appended(positive, _GUIDES, added),
            appended(negative, _GUIDES, added),
            _attached(latent, given, left),
        )


class LTXVCropGuides(SchemaNode):
    """Cuts the frames off that guided a film without being part of it."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_lt"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(
        positive=("CONDITIONING", {}), negative=("CONDITIONING", {}), latent=("LATENT", {})
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")

    def run(self, positive: Conditioning, negative: Conditioning, latent: Latent) -> Result:
        """Without any nothing changes."""
        attached = sum(guide["latent_frames"] for guide in _guides(positive))
        if attached == 0:
            return positive, negative, latent
        samples = frames_of(latent)
        own = samples.shape[2] - attached
        film = with_samples(latent, samples[:, :, :own])
        if "noise_mask" in latent:
            film["noise_mask"] = noise_mask(latent)[:, :, :own]
        return _without_guides(positive), _without_guides(negative), film


def _guides(conditioning: Conditioning) -> list[dict[str, Any]]:
    """What is attached to the film."""
    for _, options in conditioning:
        if _GUIDES in options:
            return list(options[_GUIDES])
    return []


def _without_guides(conditioning: Conditioning) -> Conditioning:
    return [
        [context, {name: value for name, value in options.items() if name != _GUIDES}]
        for context, options in conditioning
    ]


def _frame(index: int, latent_frames: int, *, several: bool) -> int:
    """Where in the film a guide begins, in frames. Raises InvalidInput outside of the film."""
    length = (latent_frames - 1) * _FRAMES + 1
    frame = index if index >= 0 else max(length + index, 0)
    if frame >= length:
        raise InvalidInput(f"the film has {length} frames: there is no frame {index} to guide")
    return frame // _FRAMES * _FRAMES if several else frame


def _film_for(samples: Tensor, image: Tensor, frame: int) -> Tensor:
    """Pictures as frames of a film from `frame` on, as many as have room and fill latent frames."""
    t, h, w = samples.shape[2:]
    room = (t - 1) * _FRAMES + 1 - frame
    return whole_latent_frames(fitted(image, w * _SCALE, h * _SCALE, room), _FRAMES)


def _attached(latent: Latent, given: Tensor, left: float) -> Latent:
    """The film with further frames at its end."""
    samples = frames_of(latent)
    check_same_space(samples, given)
    more = given.to(samples).expand(samples.shape[0], -1, -1, -1, -1)
    mask = noise_mask(latent)
    masked = mask.new_full((*mask.shape[:2], more.shape[2], *mask.shape[3:]), left)
    return with_samples(
        latent,
        torch.cat([samples, more], dim=2),
        noise_mask=torch.cat([mask, masked], dim=2),
    )
