"""Nodes that read images from the input folder."""

from __future__ import annotations

import hashlib

from torch import Tensor

from nodes.base import FileOptions, Node, inputs
from nodes.context import installed_files
from nodes.loaded_images import read_image, read_mask

_IMAGE = (FileOptions("input_images"), {"image_upload": True})


class _ImageReader(Node):
    """What the nodes that read an image file share."""

    CATEGORY = "image"

    @classmethod
    def IS_CHANGED(cls, image: str, **_: object) -> str:
        """A digest of the file: a new picture under the old name is read anew."""
        return hashlib.sha256(installed_files().annotated_path(image).read_bytes()).hexdigest()

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:
        """Whether the file is there; a name may be annotated, as in `a.png [output]`."""
        try:
            path = installed_files().annotated_path(image)
        except Exception as error:  # the folders say what is wrong with the name
            return str(error)
        return path.is_file() or f"there is no image file '{image}'"


class LoadImage(_ImageReader):
    """Reads an image file, all frames of it."""

    DISPLAY_NAME = "Load Image"
    REQUIRED = inputs(image=_IMAGE)
    RETURN_TYPES = ("IMAGE", "MASK")

    def run(self, image: str) -> tuple[Tensor, Tensor]:
        """The mask is 1 where the picture is transparent."""
        context = self.context
        return read_image(context.folders.annotated_path(image), context.settings.max_image_pixels)


class LoadImageMask(_ImageReader):
    """Reads one channel of an image file as a mask."""

    DISPLAY_NAME = "Load Image (as Mask)"
    CATEGORY = "mask"
    REQUIRED = inputs(image=_IMAGE, channel=(["alpha", "red", "green", "blue"],))
    RETURN_TYPES = ("MASK",)

    def run(self, image: str, channel: str) -> tuple[Tensor]:
        """Alpha is inverted, colours are not."""
        context = self.context
        path = context.folders.annotated_path(image)
        return (read_mask(path, channel, context.settings.max_image_pixels),)
