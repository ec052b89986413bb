"""What controls add to the layers of a UNet, for the length of one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.protocol.layer_patches import way_down

Control = Mapping[str, Sequence[Tensor | None]]


def residual_arguments(
    control: Control | None, unet: Any, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """What is added to skip connections and to the middle, as diffusers takes it: all or none."""
    if not control or not (control.get("output") or control.get("middle")):
        return {}

    def ready(part: Tensor | None) -> Any:
        return 0.0 if part is None else part.to(device, dtype)

    skips = len(way_down(unet)[0])
    # The way up takes them from the end.
    output = [ready(part) for part in control.get("output", ())][-skips:]
    middle = control.get("middle") or [None]
    return {
        "down_block_additional_residuals": (0.0,) * (skips - len(output)) + tuple(output),
        "mid_block_additional_residual": ready(middle[-1]),
    }


@contextmanager
def on_the_way_down(
    control: Control | None, unet: Any, device: torch.device, dtype: torch.dtype
) -> Iterator[None]:
    """Have the `input` parts of a control added after the blocks on the way down.

    The last part is for the first block, as packs have it.
    """
    parts = list(reversed((control or {}).get("input") or ()))
    with ExitStack() as hooks:
        for module, part in zip(way_down(unet)[1], parts, strict=False):
            if part is not None:
                hook = module.register_forward_hook(_adder(part.to(device, dtype)))
                hooks.callback(hook.remove)
        yield


def _adder(part: Tensor) -> Callable[[Any, Any, Any], Any]:
    def add(module: Any, args: Any, output: Any) -> Any:
        value = output[0] if isinstance(output, tuple) else output
        added, there = part.shape[1:], value.shape[1:]
        if any(ours not in (1, its) for ours, its in zip(added, there, strict=True)):
            raise InvalidInput(
                f"a control adds features of the shape {list(added)} where the model has "
                f"{list(there)}: use one for models of this family"
            )
        return (value + part, *output[1:]) if isinstance(output, tuple) else value + part

    return add
