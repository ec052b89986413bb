"""Tiny control networks for the tiny checkpoint of tests.models.tiny."""

from __future__ import annotations

from torch import Tensor

from tests.models.tiny import Shapes, TinyModel, fill

HINTS = (8, 8, 8, 8, 8, 8, 8)  # channels of the layers that take in the hint


def control_tensors(model: TinyModel | None = None) -> dict[str, Tensor]:
    """A ControlNet in the original layout, without prefix."""
    shared = ("time_embed.", "input_blocks.", "middle_block.")
    unet = {k: v for k, v in (model or TinyModel()).unet().items() if k.startswith(shared)}
    return unet | fill(_own_layers())


def _own_layers() -> Shapes:
    before = 3
    for number, after in enumerate((*HINTS, 16)):
        yield f"input_hint_block.{2 * number}.weight", (after, before, 3, 3)
        yield f"input_hint_block.{2 * number}.bias", (after,)
        before = after
    for number, width in enumerate((16, 16, 16, 32)):
        yield f"zero_convs.{number}.0.weight", (width, width, 1, 1)
        yield f"zero_convs.{number}.0.bias", (width,)
    yield "middle_block_out.0.weight", (32, 32, 1, 1)
    yield "middle_block_out.0.bias", (32,)


def adapter_tensors() -> dict[str, Tensor]:
    """A T2I-Adapter in the original layout: two levels with two blocks each."""
    return fill(_adapter_layers())


def _adapter_layers() -> Shapes:
    yield "conv_in.weight", (16, 3 * 64, 3, 3)
    yield "conv_in.bias", (16,)
    yield "body.2.in_conv.weight", (32, 16, 1, 1)
    yield "body.2.in_conv.bias", (32,)
    for block, width in enumerate((16, 16, 32, 32)):
        for part, kernel in (("block1", 3), ("block2", 1)):
            yield f"body.{block}.{part}.weight", (width, width, kernel, kernel)
            yield f"body.{block}.{part}.bias", (width,)
