"""Painter: a picture that was painted over in the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nodes.base import inputs
from nodes.loaded_images import read_image
from nodes.named_files import check_named, digest, open_named, shown_name
from nodes.saving import PreviewImage
from nodes.schema import SchemaNode
from nodes.tensors.colors import rgb_of
from nodes.tensors.pictures import scaled


class Painter(SchemaNode):
    """Lays what was painted over a picture, or over a canvas."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_painter"
    CATEGORY = "image"
    REQUIRED = inputs(
        mask=("STRING", {"default": "", "socketless": True}),
        width=("INT", {"default": 512, "min": 64, "max": 4096, "step": 64}),
        height=("INT", {"default": 512, "min": 64, "max": 4096, "step": 64}),
        bg_color=("COLOR", {"default": "#000000", "socketless": True}),
    )
    OPTIONAL = inputs(image=("IMAGE",))
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    RETURN_TYPES = ("IMAGE", "MASK")
    HAS_INTERMEDIATE_OUTPUT = True
    IN_BACKGROUND = True

    def __init__(self) -> None:
        self._preview = PreviewImage()

    @classmethod
    def IS_CHANGED(cls, mask: str = "", **_: object) -> str:
        """A digest of the file that holds what was painted."""
        return digest(mask) if mask else ""

    @classmethod
    def VALIDATE_INPUTS(cls, mask: str = "") -> bool | str:
        """Whether that file is there, if one is named."""
        return not mask or check_named(mask, "image")

    def run(
        self,
        mask: str,
        width: int,
        height: int,
        bg_color: str,
        image: Tensor | None = None,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The mask is the alpha of the file, which `mask` names: zeros without one."""
        if image is None:
            image = torch.tensor(rgb_of(bg_color)[0]).expand(1, height, width, 3)
        base = image[:1, ..., :3]
        alpha = base.new_zeros(*base.shape[:3], 1)
        if mask:
            painted = self._painted(mask, base)
            alpha = painted[..., 3:]
            base = painted[..., :3] * alpha + base * (1 - alpha)
        shown = self._preview.run(base, prompt=prompt, extra_pnginfo=extra_pnginfo)
        return {"ui": shown["ui"], "result": (base, alpha[..., 0])}

    def _painted(self, name: str, like: Tensor) -> Tensor:
        """[1, H, W, 4] with the sides of `like`."""
        context = self.context
        source = open_named(context, name, ("image/",))
        colors, masks = read_image(source, shown_name(name), context.settings.max_image_pixels)
        alpha = 1 - masks[:1]
        if alpha.shape[1:] != colors.shape[1:3]:  # a file without transparency
            alpha = torch.ones(1, *colors.shape[1:3])
        painted = torch.cat((colors[:1], alpha[..., None]), dim=-1)
        if painted.shape[1:3] == like.shape[1:3]:
            return painted
        return scaled(painted, like.shape[2], like.shape[1], "lanczos")
