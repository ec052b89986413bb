"""Opens GGUF files: tensors that stay as they lie in the file, in blocks.

The table of formats is in the optional package `gguf`, and what decodes them in diffusers.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from models.errors import CheckpointUnreadable, PackageMissing
from models.gguf_header import GgufHeader, GgufTensor, read_gguf_header
from models.gguf_vocabulary import sentencepiece_model
from models.mapping import MappedFile, map_file
from models.stored import StoredTensor
from models.stored.blocks import BlockFormat, Blocks

ARCHITECTURE: Final = "general.architecture"
VOCABULARY: Final = "spiece_model"

# The format's types that torch has -> safetensors' names of them.
_ORDINARY: Final = {
    "F16": "F16", "BF16": "BF16", "F32": "F32", "F64": "F64",
    "I8": "I8", "I16": "I16", "I32": "I32", "I64": "I64",
}  # fmt: skip
# Blocks cannot be rows of small kernels: these are flat, and their shapes are said elsewhere.
_SHAPES: Final = "comfy.gguf.orig_shape."


def read_gguf(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and texts of a GGUF file. Raises CheckpointUnreadable or PackageMissing."""
    _check_package(path)
    header = read_gguf_header(path, _layout)
    try:
        mapped = map_file(path)
        tensors = {
            name: _tensor(path, mapped, name, entry, _shape(path, header, name, entry))
            for name, entry in header.tensors.items()
        }
    except (OSError, ValueError) as error:
        raise CheckpointUnreadable(path, str(error)) from error
    try:
        vocabulary = sentencepiece_model(header.fields)
    except (TypeError, ValueError, OverflowError) as error:
        raise CheckpointUnreadable(path, f"its tokenizer is malformed ({error})") from error
    if vocabulary is not None:  # where safetensors files have it
        tensors[VOCABULARY] = torch.frombuffer(bytearray(vocabulary), dtype=torch.uint8)
    texts = {name: value for name, value in header.fields.items() if isinstance(value, str)}
    return tensors, texts


def _check_package(path: Path) -> None:
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise PackageMissing(path, "gguf", "gguf") from error


@cache
def _layout(number: int) -> tuple[str, int, int] | None:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        kind = GGMLQuantizationType(number)
    except ValueError:
        return None
    return (kind.name, *GGML_QUANT_SIZES[kind])


@cache
def _block_format(kind: str) -> BlockFormat | None:
    """How blocks of a type are decoded; None for types that diffusers does not decode."""
    from diffusers.quantizers.gguf.utils import dequantize_functions
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    member = GGMLQuantizationType[kind]
    if member not in dequantize_functions:
        return None
    length, size = GGML_QUANT_SIZES[member]
    return BlockFormat(name=kind, length=length, size=size, decode=dequantize_functions[member])


def _shape(path: Path, header: GgufHeader, name: str, entry: GgufTensor) -> tuple[int, ...]:
    said = header.fields.get(_SHAPES + name)
    if said is None:
        return entry.shape
    is_shape = isinstance(said, list) and all(isinstance(n, int) and n >= 0 for n in said)
    if not is_shape or math.prod(said) != math.prod(entry.shape):
        raise CheckpointUnreadable(path, f"'{name}' does not fit the shape {said!r}")
    return tuple(said)


def _tensor(
    path: Path, mapped: MappedFile, name: str, entry: GgufTensor, shape: tuple[int, ...]
) -> Tensor:
    if entry.kind in _ORDINARY:
        return mapped.tensor(_ORDINARY[entry.kind], shape, *entry.span)
    form = _block_format(entry.kind)
    if form is None:
        raise CheckpointUnreadable(
            path,
            f"'{name}' is quantised as {entry.kind}, which is not read",
            "Use a file in one of the types Q2_K to Q8_0.",
        )
    raw = mapped.tensor("U8", (entry.span[1] - entry.span[0],), *entry.span)
    return StoredTensor(Blocks(raw, form, shape), torch.float32)
