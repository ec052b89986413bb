"""Nodes of ComfyUI's `nodes_compositing`: pictures and their alpha. Masks are 1 where it is 0."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.tensors.batches import fit
from nodes.tensors.compositing import MODES, composite
from nodes.tensors.masks import as_batch
from nodes.tensors.pictures import with_channels


class _CompositingNode(SchemaNode):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_compositing"
    CATEGORY = "mask/compositing"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE", "MASK")


class PorterDuffImageComposite(_CompositingNode):
    """Composites two pictures with alpha."""

    DISPLAY_NAME = "Porter-Duff Image Composite"
    REQUIRED = inputs(
        source=("IMAGE",),
        source_alpha=("MASK",),
        destination=("IMAGE",),
        destination_alpha=("MASK",),
        mode=(list(MODES), {"default": "DST"}),
    )

    def run(
        self,
        source: Tensor,
        source_alpha: Tensor,
        destination: Tensor,
        destination_alpha: Tensor,
        mode: str,
    ) -> tuple[Tensor, Tensor]:
        """All get the sides of the source; there are as many as of the shortest batch."""
        channels = max(source.shape[-1], destination.shape[-1])
        source, destination = with_channels(source, channels), with_channels(destination, channels)
        like = source.movedim(-1, 1)
        lower = fit(destination.movedim(-1, 1), like, "bicubic").movedim(1, -1)
        alphas = [_alpha(mask, like) for mask in (source_alpha, destination_alpha)]
        count = min(x.shape[0] for x in (source, lower, *alphas))
        color, alpha = composite(
            source[:count], alphas[0][:count], lower[:count], alphas[1][:count], mode
        )
        return color, 1 - alpha[..., 0]


def _alpha(mask: Tensor, like: Tensor) -> Tensor:
    """The mask as alpha [B, H, W, 1] with the sides of pictures [B, C, H, W]."""
    return 1 - fit(as_batch(mask)[:, None], like, "bicubic").movedim(1, -1)


class SplitImageWithAlpha(_CompositingNode):
    """Takes pictures and their alpha apart."""

    DISPLAY_NAME = "Split Image with Alpha"
    REQUIRED = inputs(image=("IMAGE",))

    def run(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """A picture without alpha is opaque."""
        if image.shape[-1] > 3:
            return image[..., :3], 1 - image[..., 3]
        return image, torch.zeros(image.shape[:3], dtype=image.dtype, device=image.device)


class JoinImageWithAlpha(_CompositingNode):
    """Gives pictures an alpha channel."""

    DISPLAY_NAME = "Join Image with Alpha"
    REQUIRED = inputs(image=("IMAGE",), alpha=("MASK",))
    RETURN_TYPES = ("IMAGE",)

    def run(self, image: Tensor, alpha: Tensor) -> tuple[Tensor]:
        """The mask is brought to the sides of the picture; as many as of the shorter batch."""
        sides = image.shape[1:3]
        mask = functional.interpolate(as_batch(alpha)[:, None], size=sides, mode="bilinear")
        count = min(image.shape[0], mask.shape[0])
        return (torch.cat((image[:count, ..., :3], 1 - mask[:count, 0, ..., None]), dim=-1),)
