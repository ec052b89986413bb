"""Patches of layers, for the length of one call.

Packs name a block as the original network does: ("input", 1), ("middle", 0), ("output", 3). The
names of weights in the file tell which layer of diffusers that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch

from models.errors import InvalidInput
from models.network import Network
from models.protocol.attention import AttentionPatches, PatchedAttention
from models.protocol.way_up import patch_way_up

Block = tuple[str, int]

_ATTENTION: Final = frozenset({
    "attn1_patch", "attn2_patch", "attn1_output_patch", "attn2_output_patch",
})  # fmt: skip
_BLOCKS: Final = frozenset({
    "input_block_patch", "input_block_patch_after_skip", "output_block_patch", "emb_patch",
    "middle_patch",
})  # fmt: skip
_REPLACED: Final = frozenset({"attn1", "attn2"})
_KINDS: Final = {"input_blocks": "input", "middle_block": "middle", "output_blocks": "output"}


@contextmanager
def layer_patches(
    network: Network[Any], options: dict[str, Any], shape: torch.Size
) -> Iterator[None]:
    """The network with the patches of `transformer_options`; shape is that of its input."""
    patches = {name: found for name, found in options.get("patches", {}).items() if found}
    replaced = {name: found for name, found in options.get("patches_replace", {}).items() if found}
    _check(patches.keys() - _ATTENTION - _BLOCKS)
    _check(replaced.keys() - _REPLACED)
    overridden = options.get("optimized_attention_override") is not None
    if not patches and not replaced and not overridden:
        yield
        return
    hidden = {"patches", "patches_replace"}
    seen = {key: value for key, value in options.items() if key not in hidden}
    call = _Call(network, patches, replaced, seen | {"original_shape": list(shape)})
    with call.hooks:
        if replaced or overridden or patches.keys() & _ATTENTION:
            call.patch_attention()
        call.patch_between()
        call.patch_blocks()
        yield


def _check(unknown: set[str]) -> None:
    if unknown:
        raise InvalidInput(f"a UNet has no layers for patches of the kind '{min(unknown)}'")


@dataclass
class _Call:
    """One call of a patched network; `hooks` undoes everything."""

    network: Network[Any]
    patches: dict[str, list[Callable[..., Any]]]
    replaced: dict[str, dict[Any, Callable[..., Any]]]
    options: dict[str, Any]  # what patches are told
    hooks: ExitStack = field(default_factory=ExitStack)

    def patch_attention(self) -> None:
        """Have attention computed by PatchedAttention."""
        patches = AttentionPatches(self.patches, self.replaced, self.options)
        for name, module in self.network.module.named_modules():
            for kind in ("attn1", "attn2"):
                attention = getattr(module, kind, None)
                if attention is None:
                    continue
                block, index = self._place(f"{name}.{kind}.to_q.weight")
                self.hooks.callback(setattr, attention, "processor", attention.processor)
                attention.processor = PatchedAttention(patches, kind, block, index)
            if type(module).__name__ == "Transformer2DModel":
                hook = module.register_forward_pre_hook(self._note_shape)
                self.hooks.callback(hook.remove)

    def _place(self, weight: str) -> tuple[Block, int]:
        """The block of a weight, and which of the block's transformers it is in."""
        parts = self.network.original(weight).split(".")
        number = 0 if parts[0] == "middle_block" else int(parts[1])
        return (_KINDS[parts[0]], number), int(parts[parts.index("transformer_blocks") + 1])

    def _note_shape(self, module: Any, args: tuple[Any, ...]) -> None:
        self.options["activations_shape"] = list(args[0].shape)

    def patch_between(self) -> None:
        """Have patches called in each transformer, between self-attention and cross-attention.

        That is where diffusers has a layer for GLIGEN, if it is asked for: `fuser`.
        """
        patches = self.patches.get("middle_patch")
        if not patches:
            return

        def asked(
            module: Any, args: tuple[Any, ...], named: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            carried = named.get("cross_attention_kwargs") or {}
            return args, named | {"cross_attention_kwargs": carried | {"gligen": {"objs": None}}}

        for name, module in self.network.module.named_modules():
            if type(module).__name__ != "BasicTransformerBlock":
                continue
            block, index = self._place(f"{name}.attn1.to_q.weight")
            told = {"block": block, "block_index": index}
            self.hooks.callback(delattr, module, "fuser")
            module.fuser = _InTurn(patches, self.options, told)
            hook = module.register_forward_pre_hook(asked, with_kwargs=True)
            self.hooks.callback(hook.remove)

    def patch_blocks(self) -> None:
        """Have the patches of whole blocks called."""
        unet = self.network.module
        entries, exits = way_down(unet)
        for number, module in enumerate(exits):
            self._after(module, "input_block_patch", ("input", number))
        middle = [] if unet.mid_block is None else [unet.mid_block.resnets[0]]
        for number, module in enumerate([*entries[1:], *middle]):
            self._before(module, "input_block_patch_after_skip", ("input", number))
        self._after(unet.time_embedding, "emb_patch", None)
        patches = self.patches.get("output_block_patch")
        if patches:
            patch_way_up(unet, exits, patches, lambda n: self._told(("output", n)), self.hooks)

    def _told(self, block: Block | None) -> dict[str, Any]:
        return self.options if block is None else self.options | {"block": block}

    def _after(self, module: Any, kind: str, block: Block | None) -> None:
        patches = self.patches.get(kind)
        if not patches:
            return
        width = (self.network.module.config.block_out_channels[0],) if block is None else ()

        def change(module: Any, args: Any, output: Any) -> Any:
            value = output[0] if isinstance(output, tuple) else output
            for patch in patches:
                value = patch(value, *width, self._told(block))
            return (value, *output[1:]) if isinstance(output, tuple) else value

        self.hooks.callback(module.register_forward_hook(change).remove)

    def _before(self, module: Any, kind: str, block: Block) -> None:
        patches = self.patches.get(kind)
        if not patches:
            return

        def change(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            value = args[0]
            for patch in patches:
                value = patch(value, self._told(block))
            return (value, *args[1:])

        self.hooks.callback(module.register_forward_pre_hook(change).remove)


@dataclass(frozen=True)
class _InTurn:
    """Patches of a hidden state, one after the other."""

    patches: list[Callable[..., Any]]
    options: dict[str, Any]  # the same object through a call
    place: dict[str, Any]

    def __call__(self, x: Any, objs: Any = None) -> Any:
        for patch in self.patches:
            x = patch(x, self.options | self.place)
        return x


def way_down(unet: Any) -> tuple[list[Any], list[Any]]:
    """The first and the last layer of each block on the way down, in the original's order."""
    entries, exits = [unet.conv_in], [unet.conv_in]
    for down in unet.down_blocks:
        attentions = getattr(down, "attentions", None) or down.resnets
        entries += down.resnets
        exits += attentions
        for downsampler in down.downsamplers or ():
            entries.append(downsampler)
            exits.append(downsampler)
    return entries, exits
