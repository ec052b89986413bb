"""The base of nodes that write models into the output folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.safetensors_writer import write_tensors
from nodes.base import Node
from nodes.saved_files import save_files, target_for
from nodes.saved_images import as_text, metadata_of


class ModelSaver(Node):
    """What nodes that write models share."""

    CATEGORY = "advanced/model_merging"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_model_merging"
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    OUTPUT_NODE = True

    def save(
        self,
        prefix: str,
        tensors: Mapping[str, Tensor],
        said: Mapping[str, str],
        prompt: Any,
        extra_pnginfo: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """A safetensors file; the workflow goes into it unless that is off."""
        workflow = metadata_of(self.context.settings, prompt, extra_pnginfo)
        metadata = {key: as_text(value) for key, value in workflow.items()} | dict(said)
        target = target_for(self.context, prefix)
        writers = [lambda path: write_tensors(path, tensors, metadata)]
        saved = save_files(target, writers, "safetensors")
        self.context.wrote([target.folder / entry["filename"] for entry in saved])
        return {}
