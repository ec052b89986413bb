"""ComfyUI's `node_helpers`: small things that nodes share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from comfy.cli_args import args
from PIL import ImageFile, UnidentifiedImageError
from torch import Tensor

T = TypeVar("T")
Conditioning = list[list[Any]]


def conditioning_set_values(
    conditioning: Sequence[Sequence[Any]],
    values: Mapping[str, Any] | None = None,
    append: bool = False,
) -> Conditioning:
    """A CONDITIONING with these options on every entry; `append` adds to lists that are there."""
    changed: Conditioning = []
    for prompt, known in conditioning:
        options = dict(known)
        for name, value in (values or {}).items():
            before = options.get(name)
            options[name] = before + value if append and before is not None else value
        changed.append([prompt, options])
    return changed


def pillow(fn: Callable[..., T], arg: Any) -> T:
    """Call a function of Pillow on a file, reading what is there of one that was cut off."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        return fn(arg)
    except (OSError, UnidentifiedImageError, ValueError):
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        return fn(arg)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def hasher() -> Callable[..., Any]:
    """The function of `hashlib` that files are compared with."""
    functions: dict[str, Callable[..., Any]] = {
        "md5": hashlib.md5,
        "sha1": hashlib.sha1,
        "sha256": hashlib.sha256,
        "sha512": hashlib.sha512,
    }
    return functions[args.default_hashing_function]


def string_to_torch_dtype(string: str) -> torch.dtype | None:
    """`fp32`, `fp16` or `bf16`."""
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(string)


def image_alpha_fix(destination: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """Two pictures [B, H, W, C] with equally many channels: alpha is cut off or added as 1."""
    missing = destination.shape[-1] - source.shape[-1]
    if missing < 0:
        source = source[..., : destination.shape[-1]]
    elif missing > 0:
        ones = torch.ones((*source.shape[:-1], missing), dtype=source.dtype, device=source.device)
        source = torch.cat([source, ones], dim=-1)
    return destination, source
