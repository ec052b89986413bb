"""Nodes of ComfyUI's `nodes_upscale_model`: networks that enlarge pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from models.upscale import load_upscale_model, upscale
from nodes.base import FileOptions, inputs
from nodes.schema import SchemaNode

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor


class _UpscaleNode(SchemaNode):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_upscale_model"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE",)


class UpscaleModelLoader(_UpscaleNode):
    """Loads a network that enlarges pictures, such as ESRGAN or SwinIR."""

    DISPLAY_NAME = "Load Upscale Model"
    CATEGORY = "loaders"
    REQUIRED = inputs(model_name=(FileOptions("upscale_models"),))
    RETURN_TYPES = ("UPSCALE_MODEL",)

    def run(self, model_name: str) -> tuple[ImageModelDescriptor]:
        """Its architecture is recognised by its tensors."""
        return (load_upscale_model(self.context.folders.full_path("upscale_models", model_name)),)


class ImageUpscaleWithModel(_UpscaleNode):
    """Enlarges pictures with a network."""

    DISPLAY_NAME = "Upscale Image (using Model)"
    CATEGORY = "image/upscaling"
    REQUIRED = inputs(upscale_model=("UPSCALE_MODEL",), image=("IMAGE",))

    def run(self, upscale_model: ImageModelDescriptor, image: Tensor) -> tuple[Tensor]:
        """In tiles, which are counted as progress; alpha is left out."""
        context = self.context
        return (upscale(upscale_model, image, context.policy, context.report),)
