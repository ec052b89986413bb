"""Nodes that load parts of models from files of their own, and models that are not one file."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from models.handle import ModelHandle
from models.hypernetwork import load_hypernetwork
from models.load import (
    load_checkpoint,
    load_configured_checkpoint,
    load_diffusers_folder,
    load_unet,
)
from models.style import StyleModel, load_style_model
from models.text.handle import TextHandle
from models.vision import VisionHandle, VisionOutput, load_vision
from nodes.base import FileOptions, Node, inputs
from nodes.missing_parts import AnyVae
from nodes.schema import SchemaNode
from nodes.text_folders import text_folders

_WEIGHT_DTYPES: Final[dict[str, torch.dtype | None]] = {
    "default": None,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e4m3fn_fast": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}


class UNETLoader(Node):
    """Loads a diffusion model from a file of its own."""

    DISPLAY_NAME = "Load Diffusion Model"
    CATEGORY = "advanced/loaders"
    REQUIRED = inputs(
        unet_name=(FileOptions("diffusion_models"),), weight_dtype=(list(_WEIGHT_DTYPES),)
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, unet_name: str, weight_dtype: str) -> tuple[ModelHandle]:
        """Of a float8 type are the weights that are kept; the network computes as ever."""
        path = self.context.folders.full_path("diffusion_models", unet_name)
        storage = _WEIGHT_DTYPES.get(weight_dtype)
        return (load_unet(path, self.context.policy, storage),)


class CheckpointLoader(Node):
    """Loads a checkpoint whose configuration is in a file of its own."""

    DISPLAY_NAME = "Load Checkpoint With Config (DEPRECATED)"
    CATEGORY = "advanced/loaders"
    DEPRECATED = True
    REQUIRED = inputs(
        config_name=(FileOptions("configs"),), ckpt_name=(FileOptions("checkpoints"),)
    )
    RETURN_TYPES = ("MODEL", "CLIP", "VAE")

    def run(
        self, config_name: str, ckpt_name: str
    ) -> tuple[ModelHandle, TextHandle | None, AnyVae | None]:
        """Of the configuration, what the checkpoint's shapes cannot tell is read."""
        folders = self.context.folders
        loaded = load_configured_checkpoint(
            folders.full_path("checkpoints", ckpt_name),
            folders.full_path("configs", config_name),
            self.context.policy,
            text_folders(self.context.services),
        )
        return loaded.model, loaded.text, loaded.vae


class DiffusersLoader(Node):
    """Loads a pipeline that diffusers has saved: a folder with one folder a part."""

    CATEGORY = "advanced/loaders/deprecated"
    REQUIRED = inputs(model_path=(FileOptions("pipelines"),))
    RETURN_TYPES = ("MODEL", "CLIP", "VAE")

    def run(self, model_path: str) -> tuple[ModelHandle, TextHandle | None, AnyVae | None]:
        """The part for safety is not read."""
        folders = self.context.folders
        index = folders.full_path("diffusers", f"{model_path}/model_index.json")
        policy = self.context.policy
        loaded = load_diffusers_folder(index.parent, policy, text_folders(self.context.services))
        return loaded.model, loaded.text, loaded.vae


class unCLIPCheckpointLoader(Node):
    """Loads a checkpoint with an image encoder in it."""

    CATEGORY = "loaders"
    REQUIRED = inputs(ckpt_name=(FileOptions("checkpoints"),))
    RETURN_TYPES = ("MODEL", "CLIP", "VAE", "CLIP_VISION")

    def run(
        self, ckpt_name: str
    ) -> tuple[ModelHandle, TextHandle | None, AnyVae | None, VisionHandle]:
        """Raises an error that says so where the file holds no image encoder."""
        folders = self.context.folders
        path = folders.full_path("checkpoints", ckpt_name)
        vision = load_vision(path, self.context.policy)
        loaded = load_checkpoint(path, self.context.policy, text_folders(self.context.services))
        return loaded.model, loaded.text, loaded.vae, vision


class CLIPVisionLoader(Node):
    """Loads an image encoder."""

    DISPLAY_NAME = "Load CLIP Vision"
    CATEGORY = "loaders"
    REQUIRED = inputs(clip_name=(FileOptions("clip_vision"),))
    RETURN_TYPES = ("CLIP_VISION",)

    def run(self, clip_name: str) -> tuple[VisionHandle]:
        """Files in the layout of transformers and in that of OpenCLIP."""
        path = self.context.folders.full_path("clip_vision", clip_name)
        return (load_vision(path, self.context.policy),)


class CLIPVisionEncode(Node):
    """Has an image encoder look at pictures."""

    DISPLAY_NAME = "CLIP Vision Encode"
    CATEGORY = "conditioning"
    REQUIRED = inputs(clip_vision=("CLIP_VISION",), image=("IMAGE",), crop=(["center", "none"],))
    RETURN_TYPES = ("CLIP_VISION_OUTPUT",)

    def run(self, clip_vision: VisionHandle, image: Tensor, crop: str) -> tuple[VisionOutput]:
        """`none` squeezes pictures that are not square."""
        return (clip_vision.encode_image(image, crop=crop == "center"),)


class StyleModelLoader(Node):
    """Loads a model that turns what an image encoder says into tokens of a prompt."""

    DISPLAY_NAME = "Load Style Model"
    CATEGORY = "loaders"
    REQUIRED = inputs(style_model_name=(FileOptions("style_models"),))
    RETURN_TYPES = ("STYLE_MODEL",)

    def run(self, style_model_name: str) -> tuple[StyleModel]:
        """T2I-Adapter's style model, or Flux Redux."""
        path = self.context.folders.full_path("style_models", style_model_name)
        return (load_style_model(path),)


class HypernetworkLoader(SchemaNode):
    """Adds a hypernetwork to a diffusion model."""

    CATEGORY = "loaders"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hypernetwork"
    REQUIRED = inputs(
        model=("MODEL", {}),
        hypernetwork_name=(FileOptions("hypernetworks"),),
        strength=("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, model: Any, hypernetwork_name: str, strength: float) -> tuple[Any]:
        """It changes what attention to the prompt sees."""
        path = self.context.folders.full_path("hypernetworks", hypernetwork_name)
        hypernetwork = load_hypernetwork(path)
        made = model.clone()
        made.set_model_attn1_patch(hypernetwork.as_patch(strength))
        made.set_model_attn2_patch(hypernetwork.as_patch(strength))
        return (made,)
