"""The blocks of a Flux network, with what packs and controls do to them in a call.

Functions that replace them are those of models.protocol.dit_patches: ("double_block", n) gets and
gives `img` and `txt`, ("single_block", n) both of them joined as `img`, the prompt first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor

from models.compiling import part_of
from models.protocol.dit_patches import Replacement, block_replacements, patched_attention

_DOUBLE: Final = "double_block"
_SINGLE: Final = "single_block"


@dataclass(frozen=True, eq=False)
class State:
    """What goes from block to block, and what each of them sees."""

    img: Tensor  # [B, N, D]
    txt: Tensor  # [B, T, D]
    vec: Tensor  # [B, D], of time, guidance and pooled prompt
    pe: tuple[Tensor, Tensor]  # cosines and sines [T + N, head]
    mask: Tensor | None  # added to attention, [B, 1, 1, T + N]


@dataclass(frozen=True)
class Blocks:
    """The blocks of one call."""

    module: Any
    options: dict[str, Any]  # `transformer_options`
    control: Mapping[str, Sequence[Tensor | None]]  # `input`: of double blocks, `output`: of single

    @cached_property
    def replacements(self) -> Mapping[tuple[str, int], Replacement]:
        """The functions that take the place of blocks."""
        return block_replacements(self.options)

    def run(self, state: State) -> Tensor:
        """The tokens of the picture after all blocks."""
        with patched_attention(self.options):
            for index, block in enumerate(self.module.transformer_blocks):
                state = self._run(part_of(self.module, block), (_DOUBLE, index), state)
                state = replace(state, img=_added(state.img, self.control.get("input"), index))
            for index, block in enumerate(self.module.single_transformer_blocks):
                state = self._run(part_of(self.module, block), (_SINGLE, index), state)
                state = replace(state, img=_added(state.img, self.control.get("output"), index))
        return state.img

    def _run(self, block: Any, place: tuple[str, int], state: State) -> State:
        replacement = self.replacements.get(place)
        if replacement is None:
            txt, img = _call(block, state)
            return replace(state, txt=txt, img=img)
        if place[0] == _DOUBLE:
            return self._replaced(replacement, place, state, _double(block, state))
        joined = replace(state, img=torch.cat([state.txt, state.img], dim=1))
        return _parted(self._replaced(replacement, place, joined, _single(block, state)), state)

    def _replaced(
        self,
        replacement: Replacement,
        place: tuple[str, int],
        state: State,
        original: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> State:
        told = {
            "img": state.img,
            "vec": state.vec,
            "pe": state.pe,
            "attn_mask": state.mask,
            "transformer_options": self.options | {"block": place, "block_index": place[1]},
        }
        if place[0] == _DOUBLE:
            told["txt"] = state.txt
        found = replacement(told, {"original_block": original})
        return replace(state, img=found["img"], txt=found.get("txt", state.txt))


def _call(block: Any, state: State) -> tuple[Tensor, Tensor]:
    """The tokens of the prompt and of the picture after a block."""
    found: tuple[Tensor, Tensor] = block(
        hidden_states=state.img,
        encoder_hidden_states=state.txt,
        temb=state.vec,
        image_rotary_emb=state.pe,
        joint_attention_kwargs={"attention_mask": state.mask},
    )
    return found


def _seen(state: State, told: Mapping[str, Any]) -> State:
    """The state as the replacement of a block says it."""
    return replace(
        state,
        img=told["img"],
        txt=told.get("txt", state.txt),
        vec=told.get("vec", state.vec),
        pe=told.get("pe", state.pe),
        mask=told.get("attn_mask", state.mask),
    )


def _double(block: Any, state: State) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def original(told: dict[str, Any]) -> dict[str, Any]:
        txt, img = _call(block, _seen(state, told))
        return {"img": img, "txt": txt}

    return original


def _single(block: Any, state: State) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def original(told: dict[str, Any]) -> dict[str, Any]:
        txt, img = _call(block, _parted(_seen(state, told), state))
        return {"img": torch.cat([txt, img], dim=1)}

    return original


def _parted(joined: State, state: State) -> State:
    """The state with prompt and picture apart again."""
    length = state.txt.shape[1]
    return replace(joined, txt=joined.img[:, :length], img=joined.img[:, length:])


def _added(img: Tensor, parts: Sequence[Tensor | None] | None, index: int) -> Tensor:
    """What a control adds after a block; it may be for the first tokens only."""
    part = parts[index] if parts is not None and index < len(parts) else None
    if part is None:
        return img
    part = part.to(img)
    length = part.shape[1]
    if length == img.shape[1]:
        return img + part
    return torch.cat([img[:, :length] + part, img[:, length:]], dim=1)
