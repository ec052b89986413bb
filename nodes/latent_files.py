"""Nodes that keep latents in files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models.errors import InvalidInput
from nodes.base import FileOptions, Node, inputs
from nodes.named_files import check_named, digest
from nodes.saved_files import save_files, target_for
from nodes.saved_images import as_text, metadata_of

_TENSOR: Final = "latent_tensor"
_VERSION: Final = "latent_format_version_0"  # files without it hold scaled latents
_OLD_SCALE: Final = 0.18215  # of Stable Diffusion 1 and 2, for which older files are


class SaveLatent(Node):
    """Writes a latent into the output folder."""

    CATEGORY = "_for_testing"
    REQUIRED = inputs(
        samples=("LATENT",), filename_prefix=("STRING", {"default": "latents/ComfyUI"})
    )
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    RETURN_TYPES = ("LATENT",)
    RETURN_NAMES = ("samples",)
    OUTPUT_NODE = True
    IN_BACKGROUND = True

    def run(
        self,
        samples: Mapping[str, Any],
        filename_prefix: str = "ComfyUI",
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A safetensors file; the workflow goes into it unless that is off."""
        context = self.context
        metadata = metadata_of(context.settings, prompt, extra_pnginfo)
        texts = {key: as_text(value) for key, value in metadata.items()}
        tensors = {
            _TENSOR: samples["samples"].detach().cpu().contiguous(),
            _VERSION: torch.empty(0),
        }
        target = target_for(context, filename_prefix)
        saved = save_files(target, [lambda path: save_file(tensors, path, texts)], "latent")
        return {"ui": {"latents": saved}, "result": (samples,)}


class LoadLatent(Node):
    """Reads a latent from a file in the input folder."""

    CATEGORY = "_for_testing"
    REQUIRED = inputs(latent=(FileOptions("input_latents"),))
    RETURN_TYPES = ("LATENT",)

    @classmethod
    def IS_CHANGED(cls, latent: str) -> str:
        """A digest of the file: another latent under the old name is read anew."""
        return digest(latent)

    @classmethod
    def VALIDATE_INPUTS(cls, latent: str) -> bool | str:
        """Whether the file is there."""
        return check_named(latent, "latent")

    def run(self, latent: str) -> tuple[dict[str, Any]]:
        """Raises InvalidInput for a file that is none, or without a latent."""
        try:
            tensors = load_file(self.context.folders.annotated_path(latent))
        except SafetensorError as error:
            raise InvalidInput(f"'{latent[:200]}' cannot be read as a latent: {error}") from None
        if _TENSOR not in tensors:
            raise InvalidInput(f"'{latent[:200]}' holds no latent")
        samples = tensors[_TENSOR].float()
        return ({"samples": samples if _VERSION in tensors else samples / _OLD_SCALE},)
