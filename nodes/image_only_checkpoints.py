"""Nodes for checkpoints whose models are told by a picture, not by words."""

from __future__ import annotations

from models.handle import ModelHandle
from models.load import load_checkpoint
from models.vision import VisionHandle, vision_of
from models.weights import open_weights
from nodes.base import FileOptions, Node, inputs
from nodes.missing_parts import AnyVae


class ImageOnlyCheckpointLoader(Node):
    """Loads a checkpoint with an image encoder in it and no text encoder."""

    DISPLAY_NAME = "Image Only Checkpoint Loader (img2vid model)"
    CATEGORY = "loaders/video_models"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_video_model"
    REQUIRED = inputs(ckpt_name=(FileOptions("checkpoints"),))
    RETURN_TYPES = ("MODEL", "CLIP_VISION", "VAE")

    def run(self, ckpt_name: str) -> tuple[ModelHandle, VisionHandle, AnyVae | None]:
        """Raises an error that says so where the file holds no image encoder."""
        path = self.context.folders.full_path("checkpoints", ckpt_name)
        vision = vision_of(open_weights(path), self.context.policy)
        loaded = load_checkpoint(path, self.context.policy)
        return loaded.model, vision, loaded.vae
