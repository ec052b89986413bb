"""Nodes for TripoSplat, which makes Gaussians in space of one picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from nodes.base import inputs
from nodes.context import check_interrupted
from nodes.schema import SchemaNode
from nodes.tensors.batches import fit, repeat_to
from nodes.tensors.masks import grow
from nodes.tensors.pictures import in_color, scaled

_MARGIN = 1.2  # the side of the square, as a share of the thing's longer one
_MULTIPLE = 16


class TripoSplatPreprocessImage(SchemaNode):
    """Cuts a thing out of a picture, in the middle of a black square."""

    DISPLAY_NAME = "TripoSplat Preprocess Image"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_triposplat"
    CATEGORY = "image/preprocessing"
    REQUIRED = inputs(
        image=("IMAGE",),
        mask=("MASK",),
        erode_radius=("INT", {"default": 1, "min": 0, "max": 16}),
        size=("INT", {"default": 1024, "min": 256, "max": 4096, "step": 16}),
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)

    def run(self, image: Tensor, mask: Tensor, erode_radius: int, size: int) -> tuple[Tensor]:
        """[B, size, size, 3], of a size that 16 divides. Raises InvalidInput for an empty mask."""
        if not len(image) or not mask.numel():
            raise InvalidInput("there is no picture, or no mask: the batch is empty")
        pictures = in_color(image)[..., :3]
        shares = grow(mask, -erode_radius, tapered=False).clamp(0, 1)
        if shares.shape[-2:] != pictures.shape[1:3]:
            shares = fit(shares[:, None], pictures.movedim(-1, 1))[:, 0]
        shares = repeat_to(shares, len(pictures)).to(pictures)
        side = size // _MULTIPLE * _MULTIPLE
        cut = []
        for picture, share in zip(pictures, shares, strict=True):
            check_interrupted()
            cut.append(_cut_out(picture, share, side))
        return (torch.cat(cut),)


def _cut_out(picture: Tensor, share: Tensor, side: int) -> Tensor:
    """[1, side, side, 3]: what is shown of a picture [H, W, 3] by shares [H, W] of its pixels."""
    places = share.nonzero()
    if not len(places):
        raise InvalidInput("the mask is empty: nothing of the picture would be shown")
    (top, left), (bottom, right) = places.amin(dim=0).tolist(), (places.amax(dim=0) + 1).tolist()
    length = max(1, round(_MARGIN * max(bottom - top, right - left)))
    height, width = share.shape
    up, before = (top + bottom - length) // 2, (left + right - length) // 2
    shown = (picture * share[..., None]).movedim(-1, 0)
    borders = (-before, before + length - width, -up, up + length - height)  # cut where below 0
    square = functional.pad(shown, borders).movedim(0, -1)[None]
    return scaled(square, side, side, "lanczos")
