"""Films on their way into latents: frames brought to sizes, encoded, and masks of what is given.

Pixels are IMAGE [T, H, W, C] in 0..1, latents raw VAE units [B, C, t, h, w]. A mask is 1 where a
model is to make something, as for inpainting: [B, 4, t, h, w], a channel for each frame that a
latent frame stands for. The first latent frame stands for one frame, which all its channels mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from models.protocol.latent_formats import Wan21, Wan22
from nodes.base import MAX_RESOLUTION, Declared
from nodes.missing_parts import need_vae
from nodes.pixel_space import Vae
from nodes.tensors.latents import Latent, with_samples
from nodes.tensors.pictures import scaled

_GREY: Final = 0.5  # a frame that is yet to be made
FRAMES: Final = 4  # that a latent frame stands for, after the first

BATCH: Final[Declared] = ("INT", {"default": 1, "min": 1, "max": 4096})


def pixels(default: int, *, least: int = 16, step: int = 16) -> Declared:
    """The declaration of a side."""
    return ("INT", {"default": default, "min": least, "max": MAX_RESOLUTION, "step": step})


def frame_count(default: int, *, least: int = 1, step: int = FRAMES) -> Declared:
    """The declaration of a length in frames."""
    return ("INT", {"default": default, "min": least, "max": MAX_RESOLUTION, "step": step})


def fitted(images: Tensor, width: int, height: int, length: int | None = None) -> Tensor:
    """Frames [T, height, width, 3], at most `length`: scaled to cover the size, then cut to it."""
    return scaled(images[:length, ..., :3], width, height, "bilinear", crop=True)


def film_of_grey(length: int, width: int, height: int, like: Tensor | None = None) -> Tensor:
    """Frames [length, height, width, 3] that are yet to be made."""
    empty = torch.full((length, height, width, 3), _GREY)
    return empty if like is None else empty.to(like)


def encoded(vae: Vae | None, film: Tensor) -> Tensor:
    """The latent [1, C, t, h, w] of frames. Raises InvalidInput for a VAE of single pictures."""
    latent = need_vae(vae).encode(film[..., :3])
    if latent.ndim != 5:
        raise InvalidInput(
            "this VAE encodes single pictures, and this node needs one that encodes films: "
            "load the VAE of the video model"
        )
    return latent


def latent_frames(length: int, frames: int = FRAMES) -> int:
    """How many latent frames stand for a film of that length."""
    return (length - 1) // frames + 1


def whole_latent_frames(film: Tensor, frames: int = FRAMES) -> Tensor:
    """As many frames from the beginning as fill latent frames."""
    return film[: (latent_frames(len(film), frames) - 1) * frames + 1]


def empty_latent(
    batch: int,
    length: int,
    width: int,
    height: int,
    *,
    channels: int = 16,
    scale: int = 8,
    frames: int = FRAMES,
) -> Latent:
    """A film that is yet to be made."""
    sides = (latent_frames(length, frames), height // scale, width // scale)
    return {"samples": torch.zeros(batch, channels, *sides)}


def mask_of(to_make: Sequence[float], latent: Tensor) -> Tensor:
    """[1, 4, t, h, w] from what is to be made of each frame, on all of it."""
    t, h, w = latent.shape[2:]
    given = latent.new_tensor(to_make)
    first = given[:1].expand(FRAMES)
    padded = functional.pad(torch.cat([first, given[1:]])[None], (0, FRAMES), mode="replicate")[0]
    by_frame = padded[: t * FRAMES].reshape(t, FRAMES).T
    return by_frame[None, :, :, None, None].expand(1, FRAMES, t, h, w).contiguous()


def frame_mask(latent: Tensor, given: int) -> Tensor:
    """[1, 1, t, h, w]: 0 on the first `given` latent frames, 1 on the others."""
    mask = latent.new_ones(1, 1, *latent.shape[2:])
    mask[:, :, :given] = 0
    return mask


def frames_of(latent: Latent) -> Tensor:
    """The samples [B, C, t, h, w] of a film. Raises InvalidInput for a latent of pictures."""
    samples: Tensor = latent["samples"]
    if samples.ndim != 5:
        raise InvalidInput(
            "this node needs the latent of a film, and was given one of the shape "
            f"{list(samples.shape)}: begin with an empty latent of the video model"
        )
    return samples


def check_same_space(samples: Tensor, given: Tensor) -> None:
    """Raise InvalidInput where frames that a VAE gave do not fit into a film."""
    if samples.shape[1] != given.shape[1] or samples.shape[3:] != given.shape[3:]:
        raise InvalidInput(
            f"the VAE gives latents of {given.shape[1]} channels and {given.shape[4]} x "
            f"{given.shape[3]}; this film has {samples.shape[1]}, and {samples.shape[4]} x "
            f"{samples.shape[3]}: load the VAE of the video model"
        )


def noise_mask(latent: Latent) -> Tensor:
    """The noise mask [B, 1, t, h, w] of a film: ones where it has none."""
    samples = frames_of(latent)
    mask: Tensor | None = latent.get("noise_mask")
    if mask is None:
        return samples.new_ones(samples.shape[0], 1, *samples.shape[2:])
    if mask.ndim != 5 or mask.shape[2] not in (1, samples.shape[2]):
        raise InvalidInput("the noise mask of a film must have a mask for each latent frame")
    if mask.shape[3:] not in ((1, 1), samples.shape[3:]):
        raise InvalidInput("the noise mask of a film must have the sides of its latent")
    return mask.expand(-1, -1, *samples.shape[2:])


def placed(latent: Latent, given: Tensor, start: int, *, left: float = 0.0) -> Latent:
    """A film with given latent frames from `start` on, of which noise takes the share `left`."""
    samples, mask = frames_of(latent).clone(), noise_mask(latent).clone()
    check_same_space(samples, given)
    there = slice(start, start + given.shape[2])
    samples[:, :, there] = given.to(samples)
    mask[:, :, there] = left
    return with_samples(latent, samples, noise_mask=mask)


def beginning(latent: Latent, given: Tensor, *, left: float = 0.0) -> Latent:
    """A film whose first latent frames are given."""
    return placed(latent, given, 0, left=left)


def ending(latent: Latent, given: Tensor) -> Latent:
    """A film whose last latent frames are given."""
    return placed(latent, given, latent["samples"].shape[2] - given.shape[2])


_OF_WAN: Final = {space.latent_channels: space() for space in (Wan21, Wan22)}


def nothing_for_wan(like: Tensor) -> Tensor:
    """Raw latents of that shape that Wan's models see as zeros."""
    space = _OF_WAN.get(like.shape[1])
    if space is None:
        raise InvalidInput(
            f"a VAE of {' or '.join(map(str, _OF_WAN))} channels is needed, one of Wan; this one "
            f"has {like.shape[1]}"
        )
    return space.process_out(torch.zeros_like(like))


def start_and_end(
    vae: Vae | None, size: tuple[int, int, int], start: Tensor | None, end: Tensor | None
) -> dict[str, Any]:
    """The options that say how a film of `size` (width, height, length) begins and ends.

    As in diffusers' WanImageToVideoPipeline: what is not given is grey, and the mask says which.
    """
    width, height, length = size
    film = film_of_grey(length, width, height, start if start is not None else end)
    to_make = [1.0] * length
    if start is not None:
        first = fitted(start, width, height, length)
        film[: len(first)] = first
        to_make[: len(first)] = [0.0] * len(first)
    if end is not None:
        last = fitted(end[-length:], width, height)
        film[length - len(last) :] = last
        to_make[length - len(last) :] = [0.0] * len(last)
    latent = encoded(vae, film)
    return {"concat_latent_image": latent, "concat_mask": mask_of(to_make, latent)}
