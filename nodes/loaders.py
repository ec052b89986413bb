"""Nodes that load model files."""

from __future__ import annotations

import math
from typing import Any, Final

from models.errors import InvalidInput
from models.families.tiny_vae import TINY
from models.handle import ModelHandle
from models.load import load_checkpoint, load_vae
from models.lora import METADATA, apply_lora, load_lora
from models.text.handle import TextHandle
from models.tiny_vae import load_tiny_vae
from nodes.base import FileOptions, Node, inputs
from nodes.missing_parts import AnyVae
from nodes.pixel_space import PixelSpaceVae
from nodes.schema import SchemaNode
from nodes.text_folders import text_folders

PIXEL_SPACE = "pixel_space"
_REFERENCE_FACTOR: Final = "reference_downscale_factor"
_STRENGTH = {"default": 1.0, "min": -100.0, "max": 100.0, "step": 0.01}


class CheckpointLoaderSimple(Node):
    """Loads a checkpoint: diffusion model, text encoder and VAE from one file."""

    DISPLAY_NAME = "Load Checkpoint"
    CATEGORY = "loaders"
    REQUIRED = inputs(ckpt_name=(FileOptions("checkpoints"), {}))
    RETURN_TYPES = ("MODEL", "CLIP", "VAE")

    def run(self, ckpt_name: str) -> tuple[ModelHandle, TextHandle | None, AnyVae | None]:
        """A part that the file lacks is None; nodes that need it say so."""
        folders = self.context.folders
        loaded = load_checkpoint(
            folders.full_path("checkpoints", ckpt_name),
            self.context.policy,
            text_folders(self.context.services),
        )
        return loaded.model, loaded.text, loaded.vae


class VAELoader(Node):
    """Loads a VAE from a file of its own."""

    DISPLAY_NAME = "Load VAE"
    CATEGORY = "loaders"
    REQUIRED = inputs(vae_name=(FileOptions("vaes", extra=(PIXEL_SPACE,)),))
    RETURN_TYPES = ("VAE",)

    @classmethod
    def vae_list(cls, s: object = None) -> list[str]:
        """The choices, for packs that offer them as well."""
        return FileOptions("vaes", extra=(PIXEL_SPACE,)).names()

    def run(self, vae_name: str) -> tuple[AnyVae]:
        """`pixel_space` is no file: its latents are the pictures themselves.

        Nor are the names of tiny autoencoders: these have two files each in vae_approx.
        """
        folders, policy = self.context.folders, self.context.policy
        if vae_name == PIXEL_SPACE:
            return (PixelSpaceVae(),)
        if vae_name in TINY:
            return (load_tiny_vae(vae_name, folders.kind_folders("vae_approx"), policy),)
        return (load_vae(folders.full_path("vae", vae_name), policy),)


class LoraLoader(Node):
    """Applies a LoRA to a diffusion model and its text encoder."""

    DISPLAY_NAME = "Load LoRA"
    CATEGORY = "loaders"
    REQUIRED = inputs(
        model=("MODEL", {}),
        clip=("CLIP", {}),
        lora_name=(FileOptions("loras"), {}),
        strength_model=("FLOAT", _STRENGTH),
        strength_clip=("FLOAT", _STRENGTH),
    )
    RETURN_TYPES = ("MODEL", "CLIP")

    loaded_lora: Any = None  # packs that derive from this class keep theirs here

    def run(
        self,
        model: ModelHandle,
        clip: TextHandle | None,
        lora_name: str,
        strength_model: float,
        strength_clip: float,
    ) -> tuple[ModelHandle, TextHandle | None]:
        """Strength 0 leaves a part as it is; both 0 do not even read the file."""
        if strength_model == 0 and strength_clip == 0:
            return model, clip
        lora = load_lora(self.context.folders.full_path("loras", lora_name))
        return apply_lora(
            lora, model, clip, strength_model=strength_model, strength_text=strength_clip
        )


class LoraLoaderModelOnly(Node):
    """Applies a LoRA to a diffusion model."""

    CATEGORY = "loaders"
    REQUIRED = inputs(
        model=("MODEL",), lora_name=(FileOptions("loras"),), strength_model=("FLOAT", _STRENGTH)
    )
    RETURN_TYPES = ("MODEL",)

    loaded_lora: Any = None  # packs that derive from this class keep theirs here

    def run(self, model: ModelHandle, lora_name: str, strength_model: float) -> tuple[ModelHandle]:
        """Strength 0 leaves the model as it is."""
        return (LoraLoader().run(model, None, lora_name, strength_model, 0.0)[0],)


class GetICLoRAParameters(SchemaNode):
    """Reads what an in-context LoRA in a model wants of the pictures that it is shown."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lt"
    DISPLAY_NAME = "Get IC-LoRA Parameters"
    CATEGORY = "conditioning/video_models"
    REQUIRED = inputs(iclora_model=("MODEL",))
    RETURN_TYPES = ("IC_LORA_PARAMETERS",)
    RETURN_NAMES = ("iclora_parameters",)

    def run(self, iclora_model: ModelHandle) -> tuple[dict[str, float]]:
        """`reference_downscale_factor`: how many times smaller than the film they are to be.

        It is in the metadata of the LoRA's file; of several the last one that has it counts.
        Raises InvalidInput if it is no number from 1 on.
        """
        factor = 1.0
        for metadata in iclora_model.get_attachment(METADATA) or ():
            text = metadata.get(_REFERENCE_FACTOR, factor)
            try:
                factor = float(text)
            except ValueError:
                factor = math.nan
            if not 1 <= factor < math.inf:
                raise InvalidInput(
                    f"the LoRA's file says that '{_REFERENCE_FACTOR}' is {text!r}: "
                    "it must be 1 or more"
                )
        return ({_REFERENCE_FACTOR: factor},)
