"""The blocks of a Flux network, with what packs and controls do to them in a call.

`patches_replace["dit"]` replaces blocks: ("double_block", n) gets and gives `img` and `txt`,
("single_block", n) both of them joined as `img`, the prompt first. It is told `vec`, `pe`,
`attn_mask` and `transformer_options`, and may call `original_block`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from models.protocol.attention import INSIDE_OVERRIDE, attention

logger = logging.getLogger(__name__)

_DOUBLE: Final = "double_block"
_SINGLE: Final = "single_block"
_reported: set[str] = set()  # kinds of patches that the log has said have no place here


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

    def run(self, state: State) -> Tensor:
        """The tokens of the picture after all blocks."""
        _report(self.options)
        with _attention(self.module, self.options):
            for index, block in enumerate(self.module.transformer_blocks):
                state = self._run(block, (_DOUBLE, index), state)
                state = replace(state, img=_added(state.img, self.control.get("input"), index))
            for index, block in enumerate(self.module.single_transformer_blocks):
                state = self._run(block, (_SINGLE, index), state)
                state = replace(state, img=_added(state.img, self.control.get("output"), index))
        return state.img

    def _run(self, block: Any, place: tuple[str, int], state: State) -> State:
        replacement = self.options.get("patches_replace", {}).get("dit", {}).get(place)
        if replacement is None:
            txt, img = _call(block, state)
            return replace(state, txt=txt, img=img)
        if place[0] == _DOUBLE:
            return self._replaced(replacement, place, state, _double(block, state))
        joined = replace(state, img=torch.cat([state.txt, state.img], dim=1))
        return _parted(self._replaced(replacement, place, joined, _single(block, state)), state)

    def _replaced(
        self,
        replacement: Callable[..., Any],
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


def _report(options: Mapping[str, Any]) -> None:
    """Tell once of patches that are for networks of another kind, and do nothing here."""
    kinds = {kind for kind, found in options.get("patches", {}).items() if found}
    kinds |= {kind for kind in options.get("patches_replace", {}) if kind != "dit"}
    for kind in kinds - _reported:
        _reported.add(kind)
        logger.warning("patches of the kind '%s' do nothing in Flux", kind)


@contextmanager
def _attention(module: Any, options: dict[str, Any]) -> Iterator[None]:
    """Have attention computed by `optimized_attention_override`, if there is one."""
    override = options.get("optimized_attention_override")
    if override is None:
        yield
        return
    processor = _Overridden(override, options)
    layers = [block.attn for block in module.transformer_blocks]
    layers += [block.attn for block in module.single_transformer_blocks]
    processors = [layer.processor for layer in layers]
    for layer in layers:
        layer.processor = processor
    try:
        yield
    finally:
        for layer, before in zip(layers, processors, strict=True):
            layer.processor = before


@dataclass(frozen=True)
class _Overridden:
    """An attention processor of diffusers' Flux."""

    override: Callable[..., Tensor]
    options: dict[str, Any]

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Any:
        """The names are those of diffusers; with a prompt, both parts of the result."""
        from diffusers.models.embeddings import apply_rotary_emb

        def heads(layer: Any, tokens: Tensor, norm: Any = None) -> Tensor:
            found: Tensor = layer(tokens).unflatten(-1, (attn.heads, -1))
            return found if norm is None else norm(found)

        q = heads(attn.to_q, hidden_states, attn.norm_q)
        k = heads(attn.to_k, hidden_states, attn.norm_k)
        v = heads(attn.to_v, hidden_states)
        if encoder_hidden_states is not None:
            q = torch.cat([heads(attn.add_q_proj, encoder_hidden_states, attn.norm_added_q), q], 1)
            k = torch.cat([heads(attn.add_k_proj, encoder_hidden_states, attn.norm_added_k), k], 1)
            v = torch.cat([heads(attn.add_v_proj, encoder_hidden_states), v], 1)
        if image_rotary_emb is not None:
            q, k = (apply_rotary_emb(t, image_rotary_emb, sequence_dim=1) for t in (q, k))
        q, k, v = (t.flatten(2) for t in (q, k, v))
        told = {"transformer_options": self.options, "mask": attention_mask, INSIDE_OVERRIDE: True}
        found = self.override(attention, q, k, v, attn.heads, **told)
        if encoder_hidden_states is None:
            return found
        length = encoder_hidden_states.shape[1]
        return attn.to_out[0](found[:, length:]), attn.to_add_out(found[:, :length])
