"""Nodes that read images from the input folder, or that a URL holds or names."""

from __future__ import annotations

from typing import ClassVar, Final

from torch import Tensor

from nodes.base import FileOptions, Node, inputs
from nodes.loaded_images import read_image, read_mask
from nodes.named_files import check_named, digest, open_named, shown_name

_IMAGE = (FileOptions("input_images"), {"image_upload": True})
_KINDS: Final = ("image/",)


class _ImageReader(Node):
    """What the nodes that read an image file share."""

    CATEGORY = "image"

    @classmethod
    def IS_CHANGED(cls, image: str, **_: object) -> str:
        """A digest of the file: a new picture under the old name is read anew.

        What a URL names is not looked at again.
        """
        return digest(image)

    @classmethod
    def VALIDATE_INPUTS(cls, image: str | None) -> bool | str:
        """Whether the file is there; a name may be annotated, as in `a.png [output]`."""
        return check_named(image, "image")


class LoadImage(_ImageReader):
    """Reads an image file, all frames of it."""

    DISPLAY_NAME = "Load Image"
    REQUIRED = inputs(image=_IMAGE)
    RETURN_TYPES = ("IMAGE", "MASK")

    def run(self, image: str) -> tuple[Tensor, Tensor]:
        """The mask is 1 where the picture is transparent."""
        context = self.context
        source = open_named(context, image, _KINDS)
        return read_image(source, shown_name(image), context.settings.max_image_pixels)


class LoadImageOutput(LoadImage):
    """Reads an image file from the output folder; the front end lists them itself."""

    DISPLAY_NAME = "Load Image (from Outputs)"
    EXPERIMENTAL: ClassVar[bool] = True
    REQUIRED = inputs(
        image=(
            "COMBO",
            {
                "image_upload": True,
                "image_folder": "output",
                "remote": {
                    "route": "/internal/files/output",
                    "refresh_button": True,
                    "control_after_refresh": "first",
                },
            },
        )
    )


class LoadImageMask(_ImageReader):
    """Reads one channel of an image file as a mask."""

    DISPLAY_NAME = "Load Image (as Mask)"
    CATEGORY = "mask"
    REQUIRED = inputs(image=_IMAGE, channel=(["alpha", "red", "green", "blue"],))
    RETURN_TYPES = ("MASK",)

    def run(self, image: str, channel: str) -> tuple[Tensor]:
        """Alpha is inverted, colours are not."""
        context = self.context
        source = open_named(context, image, _KINDS)
        most_pixels = context.settings.max_image_pixels
        return (read_mask(source, channel, shown_name(image), most_pixels),)
