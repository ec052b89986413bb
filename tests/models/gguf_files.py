"""GGUF files for tests, written by the `gguf` package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from torch import Tensor

# Where a block of a K-quant has its scales: these are float16, and the other bytes may be anything.
_SCALES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}


def quantised(tensor: Tensor, kind: str) -> tuple[np.ndarray[Any, Any], Tensor]:
    """The bytes [..., row bytes] of a tensor, and its values, both by the `gguf` package.

    The package decodes K-quants only: for these the blocks are random.
    """
    member = Kind[kind]
    if kind in _SCALES:
        raw = _random_blocks(tuple(tensor.shape), kind)
    else:
        raw = gguf.quants.quantize(tensor.float().numpy(), member)
    values = gguf.quants.dequantize(raw, member)
    return raw, torch.from_numpy(values.astype(np.float32)).reshape(tensor.shape)


def _random_blocks(shape: tuple[int, ...], kind: str) -> np.ndarray[Any, Any]:
    length, size = gguf.GGML_QUANT_SIZES[Kind[kind]]
    generator = np.random.default_rng(sum(shape))
    count = int(np.prod(shape)) // length
    blocks = generator.integers(0, 256, (count, size), dtype=np.uint8)
    for place in _SCALES[kind]:
        scales = generator.uniform(1e-5, 5e-5, count).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks.reshape(*shape[:-1], -1)


def write_gguf(
    path: Path,
    tensors: Mapping[str, Tensor],
    kind: str,
    architecture: str = "sd1",
    config: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """A file with all matrices and kernels in one type; returns the values that are in it.

    Small kernels are rows of blocks, with their shape in a field; vectors are float32.
    """
    writer = gguf.GGUFWriter(path, architecture)
    if config is not None:
        writer.add_string("darkroom.config", json.dumps(config))
    length, _ = gguf.GGML_QUANT_SIZES[Kind[kind]]
    values = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or tensor.numel() % length:
            values[name] = tensor.float()
            writer.add_tensor(name, values[name].numpy())
        else:
            rows = tensor
            if tensor.shape[-1] % length:
                rows = tensor.reshape(-1, length)
                writer.add_array(f"comfy.gguf.orig_shape.{name}", [int(n) for n in tensor.shape])
            raw, decoded = quantised(rows, kind)
            writer.add_tensor(name, raw, raw_dtype=Kind[kind])
            values[name] = decoded.reshape(tensor.shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values
