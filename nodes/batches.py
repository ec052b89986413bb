"""Nodes that gather pictures, masks and latents into batches and divide them anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor

from nodes.base import inputs
from nodes.schema import DynamicNode, SchemaNode, growing
from nodes.tensors.batches import fit, in_batches
from nodes.tensors.latents import Latent, joined, rebatched
from nodes.tensors.masks import as_batch
from nodes.tensors.pictures import batch

_SIZE = {"default": 1, "min": 1, "max": 4096}


class _Gathering(DynamicNode):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_post_processing"


class BatchImagesNode(_Gathering):
    """Gathers batches of pictures into one."""

    DISPLAY_NAME = "Batch Images"
    CATEGORY = "image"
    # One is enough: templates of later releases have nodes with a single picture.
    REQUIRED = inputs(images=growing("image", ("IMAGE",), names="image", least=1, most=50))
    RETURN_TYPES = ("IMAGE",)

    def run(self, images: Mapping[str, Tensor]) -> tuple[Tensor]:
        """All get the sides of the first."""
        return (batch(list(images.values())),)


class BatchMasksNode(_Gathering):
    """Gathers batches of masks into one."""

    DISPLAY_NAME = "Batch Masks"
    CATEGORY = "mask"
    REQUIRED = inputs(masks=growing("mask", ("MASK",), names="mask", least=2, most=50))
    RETURN_TYPES = ("MASK",)

    def run(self, masks: Mapping[str, Tensor]) -> tuple[Tensor]:
        """All get the sides of the first."""
        planes = [as_batch(mask)[:, None] for mask in masks.values()]
        return (torch.cat([fit(plane, planes[0])[:, 0] for plane in planes]),)


class BatchLatentsNode(_Gathering):
    """Gathers batches of latents into one."""

    DISPLAY_NAME = "Batch Latents"
    CATEGORY = "latent"
    REQUIRED = inputs(latents=growing("latent", ("LATENT",), names="latent", least=2, most=50))
    RETURN_TYPES = ("LATENT",)

    def run(self, latents: Mapping[str, Latent]) -> tuple[Latent]:
        """All get the sides of the first, and keep the noise of their places."""
        return (reduce(joined, latents.values()),)


class _Rebatching(SchemaNode):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_rebatch"
    INPUT_IS_LIST = True
    OUTPUT_IS_LIST: ClassVar[tuple[bool, ...]] = (True,)


class RebatchImages(_Rebatching):
    """Divides pictures anew into batches."""

    DISPLAY_NAME = "Rebatch Images"
    CATEGORY = "image/batch"
    REQUIRED = inputs(images=("IMAGE",), batch_size=("INT", _SIZE))
    RETURN_TYPES = ("IMAGE",)

    def run(self, images: Sequence[Tensor], batch_size: Sequence[int]) -> tuple[list[Tensor]]:
        """A new batch begins also where the sides change."""
        items = [image[i : i + 1] for image in images for i in range(image.shape[0])]
        groups = in_batches(items, batch_size[0], lambda item: item.shape)
        return ([torch.cat(tuple(group)) for group in groups],)


class RebatchLatents(_Rebatching):
    """Divides latents anew into batches."""

    DISPLAY_NAME = "Rebatch Latents"
    CATEGORY = "latent/batch"
    REQUIRED = inputs(latents=("LATENT",), batch_size=("INT", _SIZE))
    RETURN_TYPES = ("LATENT",)

    def run(self, latents: Sequence[Latent], batch_size: Sequence[int]) -> tuple[list[Latent]]:
        """They keep the noise of their places; a new batch begins also where the sides change."""
        return (list(rebatched(latents, batch_size[0])),)
