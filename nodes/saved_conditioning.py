"""Nodes of later releases that read CONDITIONING from files."""

from __future__ import annotations

import json
from typing import Any, Final

from safetensors import safe_open

from models.conditioning import Conditioning
from nodes.base import FileOptions, inputs
from nodes.schema import SchemaNode

_CONTEXT: Final = "conditioning"
_OPTIONS: Final = "conditioning_options"  # key of the metadata: a JSON object


class ConditioningLoader(SchemaNode):
    """Reads an encoded prompt from a file among the embeddings."""

    DISPLAY_NAME = "Load Conditioning"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_cond"
    CATEGORY = "loaders"
    REQUIRED = inputs(conditioning_name=(FileOptions("embeddings"),))
    RETURN_TYPES = ("CONDITIONING",)

    def run(self, conditioning_name: str) -> tuple[Conditioning]:
        """Tensors beside the prompt are options; `key.0`, `key.1`, ... are those of a list.

        Raises ValueError for a file without a prompt.
        """
        path = self.context.folders.full_path("embeddings", conditioning_name)
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            described = (file.metadata() or {}).get(_OPTIONS, "{}")
        context = tensors.pop(_CONTEXT, None)
        if context is None:
            raise ValueError(f"'{conditioning_name}' holds no tensor '{_CONTEXT}'")
        more = json.loads(described)
        if not isinstance(more, dict):
            raise ValueError(f"'{_OPTIONS}' of '{conditioning_name}' is no JSON object")
        return ([[context, _grouped(tensors) | more]],)


def _grouped(tensors: dict[str, Any]) -> dict[str, Any]:
    """Tensors by name, those that are numbered from 0 on as lists."""
    options: dict[str, Any] = {}
    for name, tensor in tensors.items():
        stem, _, number = name.rpartition(".")
        if not (stem and number.isdecimal()):
            options[name] = tensor
        elif f"{stem}.0" in tensors and stem not in tensors:
            options.setdefault(stem, {})[int(number)] = tensor
        else:
            options[name] = tensor
    return {
        name: [value[key] for key in sorted(value)] if isinstance(value, dict) else value
        for name, value in options.items()
    }
