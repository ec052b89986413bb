"""Files whose small weights come with scales: each weight and its scale become one tensor.

Beside `X.weight` of 8 bits lies its scale s, and the weight is ``s Q``:

- `X.scale_weight`: one number; such files also hold a tensor `scaled_fp8`, which says that they do;
- `X.weight_scale`: one number, one for each row (compressed-tensors), or one for each block;
- `X.weight_scale_inv`: one for each block (the same as a scale in spite of its name).

`X.comfy_quant` may say how it was done; weights that were rotated before are not read.

Scales of inputs (`scale_input`, `input_scale`) serve multiplication in 8 bits, and are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from models.errors import CheckpointUnreadable
from models.stored.encoded import Encoded, Scaled, ScaledBlocks
from models.stored.tensor import StoredTensor

_SCALES: Final = ("scale_weight", "weight_scale", "weight_scale_inv")
_METHOD: Final = "comfy_quant"  # JSON in bytes: how a layer was quantised
_METHODS: Final = ("float8", "int8")
_UNUSED: Final = ("scale_input", "input_scale", "scaled_fp8", _METHOD)
_EIGHT_BITS: Final = (torch.float8_e4m3fn, torch.float8_e5m2, torch.int8)
_BITSANDBYTES: Final = ".quant_state.bitsandbytes__"
_BLOCK_SIZES: Final = (128, 64, 32, 16, 1)
_ADVICE: Final = "Use a file in float8, float16, bfloat16 or GGUF."


def with_scales(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file with scales made part of the weights that they are for.

    Raises CheckpointUnreadable for scales that do not fit, and for other ways of quantising.
    """
    other = next((name for name in tensors if _BITSANDBYTES in name), None)
    if other is not None:
        raise CheckpointUnreadable(path, f"it is quantised by bitsandbytes ('{other}')", _ADVICE)
    for name, tensor in tensors.items():
        if _kind(name) == _METHOD:
            _check_method(path, name, tensor)
    scales = {name: tensor for name, tensor in tensors.items() if _kind(name) in _SCALES}
    scaled = {_weight_of(name): name for name in scales}
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name in scaled and not (tensor.is_floating_point() and tensor.itemsize > 1):
            encoded = _encoded(path, name, tensor, scales[scaled[name]])
            found[name] = StoredTensor(encoded, torch.float32)
        elif name not in scales and _kind(name) not in _UNUSED:
            found[name] = tensor
    return found


def _check_method(path: Path, name: str, told: Tensor) -> None:
    """Refuse weights that are more than products, such as those that were rotated before."""
    text = told.numpy().tobytes().decode("utf-8", "replace") if told.dtype == torch.uint8 else ""
    try:
        document = json.loads(text)
        method = str(document["format"]) if isinstance(document, dict) else ""
    except (ValueError, KeyError) as error:
        raise CheckpointUnreadable(path, f"'{name}' does not say how it is quantised") from error
    if not method.startswith(_METHODS) or "rot" in text:
        raise CheckpointUnreadable(
            path, f"it is quantised in a way that is not read ('{name}' says {text})", _ADVICE
        )


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _weight_of(scale: str) -> str:
    return f"{scale.rpartition('.')[0]}.weight"


def _encoded(path: Path, name: str, weight: Tensor, scale: Tensor) -> Encoded:
    if weight.dtype not in _EIGHT_BITS:
        kind = str(weight.dtype).removeprefix("torch.")
        raise CheckpointUnreadable(
            path, f"'{name}' is quantised in a way that is not read ({kind} with scales)", _ADVICE
        )
    if not scale.is_floating_point() or scale.numel() == 0:
        raise CheckpointUnreadable(path, f"the scale of '{name}' is malformed")
    if scale.numel() == 1:
        return Scaled(weight, float(scale))
    if weight.ndim < 2 or weight.numel() == 0:
        raise _misfit(path, name, weight, scale)
    rows, columns = weight.shape[0], weight[0].numel()
    scales = scale.float().reshape(scale.shape[0], -1)
    is_by_row = scale.numel() == rows == scales.shape[0]
    height = 1 if is_by_row else _block_size(rows, scales.shape[0])
    width = _block_size(columns, scales.shape[1])
    if height is None or width is None or (scale.ndim == 1 and not is_by_row):
        raise _misfit(path, name, weight, scale)
    return ScaledBlocks(weight, scales, (height, width))


def _misfit(path: Path, name: str, weight: Tensor, scale: Tensor) -> CheckpointUnreadable:
    shapes = f"{tuple(scale.shape)} for {tuple(weight.shape)}"
    return CheckpointUnreadable(path, f"the scales of '{name}' do not fit it ({shapes})")


def _block_size(length: int, count: int) -> int | None:
    """The size of blocks, of which the last one may be cut off; files do not say it."""
    if count == 1:
        return length
    return next((size for size in _BLOCK_SIZES if -(-length // size) == count), None)
