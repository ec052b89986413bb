"""Tiny GLIGEN layers for the tiny checkpoint of tests.models.tiny."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.models.tiny import Shapes, TinyModel, fill

WAVES = 64
TRANSFORMERS = (
    ("input_blocks.1.1.transformer_blocks.0", 16),
    ("middle_block.1.transformer_blocks.0", 32),
    ("output_blocks.2.1.transformer_blocks.0", 16),
    ("output_blocks.3.1.transformer_blocks.0", 16),
)


def gligen_tensors(model: TinyModel | None = None) -> dict[str, Tensor]:
    """A file in the original layout, without prefix."""
    tensors = fill(_layers((model or TinyModel()).context))
    for name, _ in TRANSFORMERS:
        for gate in ("alpha_attn", "alpha_dense"):
            tensors[f"{name}.fuser.{gate}"] = torch.tensor(0.7).half()
    return tensors


def _layers(context: int) -> Shapes:
    yield "position_net.null_positive_feature", (context,)
    yield "position_net.null_position_feature", (WAVES,)
    for number, (after, before) in enumerate(((512, context + WAVES), (512, 512), (context, 512))):
        yield f"position_net.linears.{2 * number}.weight", (after, before)
        yield f"position_net.linears.{2 * number}.bias", (after,)
    for name, width in TRANSFORMERS:
        fuser = f"{name}.fuser"
        for layer, after, before in (
            ("linear", width, context),
            ("attn.to_out.0", width, width),
            ("ff.net.0.proj", 8 * width, width),
            ("ff.net.2", width, 4 * width),
        ):
            yield f"{fuser}.{layer}.weight", (after, before)
            yield f"{fuser}.{layer}.bias", (after,)
        for part in ("to_q", "to_k", "to_v"):
            yield f"{fuser}.attn.{part}.weight", (width, width)
        for norm in ("norm1", "norm2"):
            yield f"{fuser}.{norm}.weight", (width,)
            yield f"{fuser}.{norm}.bias", (width,)
