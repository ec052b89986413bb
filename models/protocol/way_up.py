"""The way up of a UNet with patches of what each of its blocks gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Patch = Callable[[Tensor, Tensor, dict[str, Any]], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class _UpBlock:
    """Computes as an up block of diffusers does, with patches before each of its layers.

    They may change sizes: the latent is joined with its skip connection after them, and grows at
    the end to the size of the next one.
    """

    module: Any
    first: int  # the number of its first layer among all on the way up
    patches: Sequence[Patch]
    told: Callable[[int], dict[str, Any]]
    skips: list[torch.Size]  # sizes of all skip connections, filled on the way down

    def __call__(
        self,
        hidden_states: Tensor,
        res_hidden_states_tuple: tuple[Tensor, ...],
        temb: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        upsample_size: Any = None,
        **kwargs: Any,
    ) -> Tensor:
        """The arguments are those of diffusers."""
        latent = hidden_states
        attentions = getattr(self.module, "attentions", None)
        skips = list(res_hidden_states_tuple)
        for index, resnet in enumerate(self.module.resnets):
            skip = skips.pop()
            for patch in self.patches:
                latent, skip = patch(latent, skip, self.told(self.first + index))
            latent = resnet(torch.cat([latent, skip], dim=1), temb)
            if attentions is not None:
                latent = attentions[index](
                    latent, encoder_hidden_states=encoder_hidden_states, return_dict=False
                )[0]
        following = len(self.skips) - self.first - len(self.module.resnets) - 1
        for upsampler in self.module.upsamplers or ():
            latent = upsampler(latent, self.skips[following][2:])
        return latent


def patch_way_up(
    unet: Any,
    exits: Sequence[Any],
    patches: Sequence[Patch],
    told: Callable[[int], dict[str, Any]],
    hooks: ExitStack,
) -> None:
    """Have patches called on the way up until `hooks` closes.

    exits: the layers whose outputs are the skip connections, in order. told(n) is what patches
    are told at block n.
    """
    skips: list[torch.Size] = []

    def note(module: Any, args: Any, output: Any) -> None:
        skips.append((output[0] if isinstance(output, tuple) else output).shape)

    for module in exits:
        hooks.callback(module.register_forward_hook(note).remove)
    first = 0
    for up in unet.up_blocks:
        up.forward = _UpBlock(up, first, patches, told, skips)
        hooks.callback(delattr, up, "forward")
        first += len(up.resnets)
