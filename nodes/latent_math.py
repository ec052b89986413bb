"""Nodes of ComfyUI's `nodes_latent`: latents calculated with, joined and cut."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from nodes.base import MAX_RESOLUTION, inputs
from nodes.schema import SchemaNode
from nodes.tensors.batches import repeat_to
from nodes.tensors.latents import (
    Latent,
    batch_index,
    check_alike,
    check_film,
    cut,
    cut_to_batch,
    interpolate,
    joined,
    match,
    with_samples,
)

log = logging.getLogger(__name__)

_AXES: Final[Mapping[str, int]] = {"x": -1, "y": -2, "t": -3}


class _LatentNode(SchemaNode):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_latent"
    CATEGORY = "latent/advanced"
    RETURN_TYPES = ("LATENT",)


class _OfTwo(_LatentNode):
    """Takes two latents; the second is brought to the sides and the batch of the first."""

    REQUIRED = inputs(samples1=("LATENT",), samples2=("LATENT",))


class LatentAdd(_OfTwo):
    """The sum."""

    def run(self, samples1: Latent, samples2: Latent) -> tuple[Latent]:
        """Options are those of the first, here as in the other nodes of two."""
        first = samples1["samples"]
        return (with_samples(samples1, first + match(first, samples2["samples"])),)


class LatentSubtract(_OfTwo):
    """The difference."""

    def run(self, samples1: Latent, samples2: Latent) -> tuple[Latent]:
        """First minus second."""
        first = samples1["samples"]
        return (with_samples(samples1, first - match(first, samples2["samples"])),)


class LatentInterpolate(_OfTwo):
    """A mix whose vectors keep their length."""

    REQUIRED = inputs(
        **_OfTwo.REQUIRED, ratio=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01})
    )

    def run(self, samples1: Latent, samples2: Latent, ratio: float) -> tuple[Latent]:
        """The ratio is the share of the first."""
        mixed = interpolate(samples1["samples"], samples2["samples"], ratio)
        return (with_samples(samples1, mixed),)


class LatentConcat(_OfTwo):
    """Two latents side by side, or one after the other in time."""

    REQUIRED = inputs(**_OfTwo.REQUIRED, dim=(["x", "-x", "y", "-y", "t", "-t"],))

    def run(self, samples1: Latent, samples2: Latent, dim: str) -> tuple[Latent]:
        """With a minus the second comes first."""
        first, second = samples1["samples"], samples2["samples"]
        check_alike(first, second, along=_AXES[dim[-1]])
        pair = [first, repeat_to(second, first.shape[0])]
        if dim.startswith("-"):
            pair.reverse()
        return (with_samples(samples1, torch.cat(pair, dim=_AXES[dim[-1]])),)


class LatentMultiply(_LatentNode):
    """A latent times a number."""

    REQUIRED = inputs(
        samples=("LATENT",),
        multiplier=("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}),
    )

    def run(self, samples: Latent, multiplier: float) -> tuple[Latent]:
        """Every element."""
        return (with_samples(samples, samples["samples"] * multiplier),)


class LatentCut(_LatentNode):
    """Slices of a latent."""

    REQUIRED = inputs(
        samples=("LATENT",),
        dim=(["x", "y", "t"],),
        index=("INT", {"default": 0, "min": -MAX_RESOLUTION, "max": MAX_RESOLUTION, "step": 1}),
        amount=("INT", {"default": 1, "min": 1, "max": MAX_RESOLUTION, "step": 1}),
    )

    def run(self, samples: Latent, dim: str, index: int, amount: int) -> tuple[Latent]:
        """In elements of the latent; an index below 0 counts from the end."""
        return (with_samples(samples, cut(samples["samples"], _AXES[dim], index, amount)),)


class LatentCutToBatch(_LatentNode):
    """Pieces of a latent as a batch."""

    REQUIRED = inputs(
        samples=("LATENT",),
        dim=(["t", "x", "y"],),
        slice_size=("INT", {"default": 1, "min": 1, "max": MAX_RESOLUTION, "step": 1}),
    )

    def run(self, samples: Latent, dim: str, slice_size: int) -> tuple[Latent]:
        """In elements of the latent; what is left over is dropped."""
        return (with_samples(samples, cut_to_batch(samples["samples"], _AXES[dim], slice_size)),)


class LatentBatch(_OfTwo):
    """Two batches as one."""

    CATEGORY = "latent/batch"
    DEPRECATED = True

    def run(self, samples1: Latent, samples2: Latent) -> tuple[Latent]:
        """The second gets the sides of the first; all keep the noise of their places."""
        return (joined(samples1, samples2),)


class LatentBatchSeedBehavior(_LatentNode):
    """Whether the items of a batch get different noise."""

    REQUIRED = inputs(
        samples=("LATENT",), seed_behavior=(["random", "fixed"], {"default": "fixed"})
    )

    def run(self, samples: Latent, seed_behavior: str) -> tuple[Latent]:
        """`fixed`: all get that of the first."""
        changed = {**samples}
        changed.pop("batch_index", None)
        if seed_behavior == "fixed":
            index = batch_index(samples)
            changed["batch_index"] = [index[0]] * len(index)
        return (changed,)


class ReplaceVideoLatentFrames(_LatentNode):
    """Puts frames of one video latent into another."""

    CATEGORY = "latent/batch"
    REQUIRED = inputs(
        destination=("LATENT",),
        index=("INT", {"default": 0, "min": -MAX_RESOLUTION, "max": MAX_RESOLUTION, "step": 1}),
    )
    OPTIONAL = inputs(source=("LATENT",))

    def run(self, destination: Latent, index: int, source: Latent | None = None) -> tuple[Latent]:
        """In latent frames; below 0 from the end. What does not fit changes nothing."""
        if source is None:
            return (destination,)
        frames: Tensor = destination["samples"]
        new: Tensor = source["samples"]
        check_film(frames)
        check_film(new)
        check_alike(frames, new, along=2)
        start = index if index >= 0 else frames.shape[2] + index
        if not 0 <= start <= frames.shape[2] - new.shape[2]:
            log.warning(
                "%d frames from %d on do not fit in %d", new.shape[2], index, frames.shape[2]
            )
            return (destination,)
        replaced = frames.clone()
        replaced[:, :, start : start + new.shape[2]] = repeat_to(new, len(frames))
        return (with_samples(destination, replaced),)
