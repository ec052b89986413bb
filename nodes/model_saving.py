"""Nodes that write models into the output folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from models.audio.vae import AudioVaeHandle
from models.handle import ModelHandle
from models.lora.extract import extracted
from models.model_files import (
    checkpoint_tensors,
    model_metadata,
    vae_tensors,
    vision_tensors,
)
from models.text.encoder import TextEncoder
from models.text.handle import TextHandle
from models.text.saving import encoder_tensors, stated
from models.vae import VaeHandle
from models.vision import VisionHandle
from models.weights import CONFIG_KEY
from nodes.base import inputs
from nodes.saved_models import ModelSaver
from nodes.schema import SchemaNode


class CheckpointSave(ModelSaver):
    """Writes a checkpoint: diffusion model, text encoder and VAE in one file."""

    DISPLAY_NAME = "Save Checkpoint"
    REQUIRED = inputs(
        model=("MODEL",),
        clip=("CLIP",),
        vae=("VAE",),
        filename_prefix=("STRING", {"default": "checkpoints/ComfyUI"}),
    )

    def run(
        self,
        model: ModelHandle,
        clip: TextHandle | None,
        vae: VaeHandle | AudioVaeHandle | None,
        filename_prefix: str,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Patches are merged into the weights."""
        tensors = checkpoint_tensors(model, clip, vae)
        said = model_metadata(model, clip, vae)
        return self.save(filename_prefix, tensors, said, prompt, extra_pnginfo)


class ImageOnlyCheckpointSave(ModelSaver):
    """Writes a checkpoint whose model is told by a picture: with the image encoder in it."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_video_model"
    REQUIRED = inputs(
        model=("MODEL",),
        clip_vision=("CLIP_VISION",),
        vae=("VAE",),
        filename_prefix=("STRING", {"default": "checkpoints/ComfyUI"}),
    )

    def run(
        self,
        model: ModelHandle,
        clip_vision: VisionHandle,
        vae: VaeHandle | AudioVaeHandle | None,
        filename_prefix: str,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Patches are merged into the weights."""
        tensors = checkpoint_tensors(model, None, vae) | vision_tensors(clip_vision)
        said = model_metadata(model, vae=vae, vision=clip_vision)
        return self.save(filename_prefix, tensors, said, prompt, extra_pnginfo)


class ModelSave(ModelSaver):
    """Writes a diffusion model."""

    REQUIRED = inputs(
        model=("MODEL",),
        filename_prefix=("STRING", {"default": "diffusion_models/ComfyUI"}),
    )

    def run(
        self,
        model: ModelHandle,
        filename_prefix: str,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Patches are merged into the weights."""
        tensors, said = checkpoint_tensors(model), model_metadata(model)
        return self.save(filename_prefix, tensors, said, prompt, extra_pnginfo)


class CLIPSave(ModelSaver):
    """Writes text encoders."""

    REQUIRED = inputs(clip=("CLIP",), filename_prefix=("STRING", {"default": "clip/ComfyUI"}))

    def run(
        self,
        clip: TextHandle,
        filename_prefix: str,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Each encoder gets a file that is named after it."""
        for encoder in clip.encoders.values():
            said = stated(encoder)
            metadata = {CONFIG_KEY: json.dumps({"text_encoder": said})} if said else {}
            target = f"{filename_prefix}_{encoder.name}"
            self.save(target, encoder_tensors(encoder), metadata, prompt, extra_pnginfo)
        return {}


class VAESave(ModelSaver):
    """Writes a VAE."""

    REQUIRED = inputs(vae=("VAE",), filename_prefix=("STRING", {"default": "vae/ComfyUI_vae"}))

    def run(
        self,
        vae: VaeHandle | AudioVaeHandle,
        filename_prefix: str,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Names without prefix."""
        tensors, said = vae_tensors(vae), model_metadata(vae=vae)
        return self.save(filename_prefix, tensors, said, prompt, extra_pnginfo)


class LoraSave(SchemaNode, ModelSaver):
    """Writes a LoRA of the difference of two models."""

    DISPLAY_NAME = "Extract and Save Lora"
    CATEGORY = "_for_testing"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lora_extract"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        filename_prefix=(
            "STRING", {"multiline": False, "default": "loras/ComfyUI_extracted_lora"},
        ),
        rank=("INT", {"default": 8, "min": 1, "max": 4096, "step": 1}),
        lora_type=(["standard", "full_diff"],),
        bias_diff=("BOOLEAN", {"default": True}),
    )  # fmt: skip
    OPTIONAL = inputs(model_diff=("MODEL", {}), text_encoder_diff=("CLIP", {}))

    def run(
        self,
        filename_prefix: str,
        rank: int,
        lora_type: str,
        bias_diff: bool,
        model_diff: ModelHandle | None = None,
        text_encoder_diff: TextHandle | None = None,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Takes differences as ModelMergeSubtract makes them; without any nothing is written."""
        wanted = rank if lora_type == "standard" else None
        tensors: dict[str, Tensor] = {}
        if model_diff is not None:
            network = model_diff.network
            tensors |= extracted(
                network,
                model_diff.patches,
                lambda name: f"diffusion_model.{network.original(name)}",
                rank=wanted,
                with_biases=bias_diff,
            )
        if text_encoder_diff is not None:
            for encoder in text_encoder_diff.encoders.values():
                tensors |= extracted(
                    encoder.network,
                    encoder.patches,
                    partial(_text_name, encoder),
                    rank=wanted,
                    with_biases=bias_diff,
                )
        return self.save(filename_prefix, tensors, {}, prompt, extra_pnginfo) if tensors else {}


def _text_name(encoder: TextEncoder, name: str) -> str:
    return f"text_encoders.{encoder.name}.transformer.{encoder.outer_name(name)}"
