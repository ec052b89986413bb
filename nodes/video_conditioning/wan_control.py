"""Wan's models that follow a film: VACE, Fun Control, and Phantom, which follows pictures.

VACE's layout is that of diffusers' WanVACEPipeline (Jiang et al. 2025, arXiv:2503.07598), that of
Phantom follows Liu et al. 2025 (arXiv:2502.11079).
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.conditioning import Conditioning, appended, with_options
from models.vision import VisionOutput
from nodes.base import inputs
from nodes.missing_parts import need_vae
from nodes.pixel_space import Vae
from nodes.tensors.latents import Latent
from nodes.tensors.pictures import scaled
from nodes.video_conditioning.base import Result, WanNode, seen
from nodes.video_conditioning.frames import (
    empty_latent,
    encoded,
    film_of_grey,
    fitted,
    nothing_for_wan,
    placed,
    whole_latent_frames,
)

_SIDE: Final = 8  # pixels of a latent element, whose masks become channels


class WanVaceToVideo(WanNode):
    """Gives a model a film to change, a mask of what to change, and a picture to refer to."""

    REQUIRED = inputs(
        **WanNode.REQUIRED,
        strength=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1000.0, "step": 0.01}),
    )
    OPTIONAL = inputs(
        control_video=("IMAGE", {}),
        control_masks=("MASK", {}),
        reference_image=("IMAGE", {}),
    )
    RETURN_TYPES: ClassVar[tuple[str, ...]] = (*WanNode.RETURN_TYPES, "INT")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = (*WanNode.RETURN_NAMES, "trim_latent")

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        vae: Vae | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        strength: float,
        control_video: Tensor | None = None,
        control_masks: Tensor | None = None,
        reference_image: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Latent, int]:
        """`trim_latent` latent frames stand for the reference, and are to be cut off again.

        `vace_frames` [1, 32, t, h, w] are what stays and what changes, `vace_mask` [1, 64, t, h, w]
        the pixels of the mask as channels; several of these nodes in a row add up.
        """
        film, mask = _control(control_video, control_masks, (width, height, length))
        changed = (mask > 0.5).to(film)[..., None]
        stays = encoded(vae, (film - 0.5) * (1 - changed) + 0.5)
        changes = encoded(vae, (film - 0.5) * changed + 0.5)
        frames = torch.cat([stays, changes], dim=1)
        channels = _mask_channels(mask, frames.shape[2])
        references = 0
        if reference_image is not None:
            pictures = [
                encoded(vae, _on_white(one[None], width, height)) for one in reference_image
            ]
            reference = torch.cat(pictures, dim=2)
            references = reference.shape[2]
            shown = torch.cat([reference, nothing_for_wan(reference)], dim=1)
            frames = torch.cat([shown, frames], dim=2)
            channels = functional.pad(channels, (0, 0, 0, 0, references, 0))
        options = {"vace_frames": frames, "vace_mask": channels, "vace_strength": strength}
        for name, value in options.items():
            positive = appended(positive, name, [value])
            negative = appended(negative, name, [value])
        latent = empty_latent(batch_size, length, width, height)["samples"]
        whole = functional.pad(latent, (0, 0, 0, 0, references, 0))
        return positive, negative, {"samples": whole}, references


def _control(
    video: Tensor | None, masks: Tensor | None, size: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """A film [length, height, width, 3] and its mask [length, height, width]: 1 is to change.

    What the given film or mask is too short for is grey, and is to be made.
    """
    width, height, length = size
    film = film_of_grey(length, width, height, video)
    if video is not None:
        given = fitted(video, width, height, length)
        film[: len(given)] = given
    mask = film.new_ones(length, height, width)
    if masks is not None:
        flat = masks.reshape(-1, *masks.shape[-2:])[..., None]
        said = scaled(flat[:length], width, height, "bilinear", crop=True)[..., 0]
        if len(said) == 1:
            said = said.expand(length, -1, -1)
        mask[: len(said)] = said
    return film, mask


def _mask_channels(mask: Tensor, frames: int) -> Tensor:
    """[1, 64, frames, h, w]: the pixels of each latent element as channels, a frame for several."""
    blocks = functional.pixel_unshuffle(mask[:, None], _SIDE).movedim(0, 1)  # 64 t h w
    size = (frames, *blocks.shape[-2:])
    return functional.interpolate(blocks[None], size=size, mode="nearest-exact")


def _on_white(picture: Tensor, width: int, height: int) -> Tensor:
    """A picture [1, height, width, 3] with all of it in the middle of a white one."""
    scale = min(height / picture.shape[1], width / picture.shape[2])
    inner = (max(1, int(picture.shape[2] * scale)), max(1, int(picture.shape[1] * scale)))
    small = scaled(picture[..., :3], *inner, "bilinear")
    canvas = small.new_ones(1, height, width, 3)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    canvas[:, top : top + inner[1], left : left + inner[0]] = small
    return canvas


class WanFunControlToVideo(WanNode):
    """Gives a model a film to follow, and how its own film begins.

    The layout is that of VideoX-Fun: the channels of both, zeros where there is none.
    """

    OPTIONAL = inputs(
        clip_vision_output=("CLIP_VISION_OUTPUT", {}),
        start_image=("IMAGE", {}),
        control_video=("IMAGE", {}),
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
        start_image: Tensor | None = None,
        clip_vision_output: VisionOutput | None = None,
        control_video: Tensor | None = None,
    ) -> Result:
        """`concat_latent_image` [1, 32, t, h, w]."""
        latent = empty_latent(batch_size, length, width, height)
        parts = []
        for film in (control_video, None if start_image is None else start_image[:1]):
            part = nothing_for_wan(latent["samples"][:1])
            if film is not None:
                given = encoded(vae, whole_latent_frames(fitted(film, width, height, length)))
                part = placed({"samples": part}, given, 0)["samples"]
            parts.append(part)
        options = {"concat_latent_image": torch.cat(parts, dim=1)} | seen(clip_vision_output)
        return with_options(positive, options), with_options(negative, options), latent


class Wan22FunControlToVideo(WanNode):
    """Gives a model of Wan 2.2 a film to follow, and a picture of what is to be seen.

    The layout is that of VideoX-Fun: the film as further channels, the picture to refer to.
    """

    OPTIONAL = inputs(ref_image=("IMAGE", {}), control_video=("IMAGE", {}))

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        vae: Vae | None,
        width: int,
        height: int,
        length: int,
        batch_size: int,
        ref_image: Tensor | None = None,
        control_video: Tensor | None = None,
    ) -> Result:
        """`concat_latent_image` [1, C, t, h, w], `reference_latents` [1, C, 1, h, w].

        C and the sides are those of the VAE: of Wan 2.1 for the large models, 2.2 for the small.
        """
        film = need_vae(vae)
        channels, scale = film.latent_channels, film.downscale
        latent = empty_latent(batch_size, length, width, height, channels=channels, scale=scale)
        shown = nothing_for_wan(latent["samples"][:1])
        if control_video is not None:
            given = whole_latent_frames(fitted(control_video, width, height, length))
            shown = placed({"samples": shown}, encoded(vae, given), 0)["samples"]
        options = {"concat_latent_image": shown}
        positive, negative = with_options(positive, options), with_options(negative, options)
        if ref_image is not None:
            references = [encoded(vae, fitted(ref_image[:1], width, height))]
            positive = appended(positive, "reference_latents", references)
            negative = appended(negative, "reference_latents", references)
        return positive, negative, latent


class WanPhantomSubjectToVideo(WanNode):
    """Gives a model pictures of what is to be in its film."""

    OPTIONAL = inputs(images=("IMAGE", {}))
    RETURN_TYPES: ClassVar[tuple[str, ...]] = (
        "CONDITIONING",
        "CONDITIONING",
        "CONDITIONING",
        "LATENT",
    )
    RETURN_NAMES: ClassVar[tuple[str, ...]] = (
        "positive",
        "negative_text",
        "negative_img_text",
        "latent",
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
        images: Tensor | None = None,
    ) -> tuple[Conditioning, Conditioning, Conditioning, Latent]:
        """The second output lacks the text, the third the pictures as well.

        `time_dim_concat` [1, 16, pictures, h, w] goes after the frames of the film.
        """
        latent = empty_latent(batch_size, length, width, height)
        if images is None:
            return positive, negative, negative, latent
        pictures = fitted(images, width, height)
        shown = torch.cat([encoded(vae, picture[None]) for picture in pictures], dim=2)
        options: dict[str, Any] = {"time_dim_concat": shown}
        without = {"time_dim_concat": nothing_for_wan(shown)}
        return (
            with_options(positive, options),
            with_options(negative, options),
            with_options(negative, without),
            latent,
        )
