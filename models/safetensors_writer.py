"""Writes safetensors files tensor by tensor, so that no more than one of them is in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.mapping import DTYPES
from models.stored import StoredTensor, release

_NAMES: Final = {dtype: name for name, dtype in DTYPES.items()}


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """A safetensors file. What is to be decoded or patched is so when its turn comes."""
    # As the library orders them: every tensor is aligned to its type.
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name in names:
        tensor = tensors[name]
        begin, position = position, position + tensor.numel() * tensor.itemsize
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, position],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in names:
            tensor = tensors[name]
            values = tensor.values() if isinstance(tensor, StoredTensor) else tensor
            flat = values.detach().cpu().contiguous().flatten()
            file.write(flat.view(torch.uint8).numpy().data)
            release(tensor)
