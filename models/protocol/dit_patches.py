"""Patches of diffusion transformers of diffusers, for the length of one call.

Packs name a block as the original networks do, ("double_block", 7), and give a function for it:
``function({"img", "txt", "vec", ...}, {"original_block": block})`` returns what the block would.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from torch import Tensor, nn

from models.protocol.attention_override import attention_by

logger = logging.getLogger(__name__)

Told = dict[str, Any]
Replacement = Callable[[Told, Told], Mapping[str, Any]]

_OURS: Final = "dit"  # the kind of replacements that are for blocks of transformers
_reported: set[str] = set()


def block_replacements(options: Mapping[str, Any]) -> dict[tuple[str, int], Replacement]:
    """The functions that `transformer_options` hold for blocks of a transformer.

    Patches for layers of UNets are left alone, as such models have none; the log says so once.
    """
    others = [*_filled(options, "patches"), *_filled(options, "patches_replace")]
    for kind in set(others) - {_OURS} - _reported:
        _reported.add(kind)
        logger.warning("a patch of the kind '%s' does nothing: the model has no such layers", kind)
    found: dict[tuple[str, int], Replacement] = options.get("patches_replace", {}).get(_OURS, {})
    return found


def _filled(options: Mapping[str, Any], name: str) -> list[str]:
    return [kind for kind, found in options.get(name, {}).items() if found]


@contextmanager
def patched_attention(options: Mapping[str, Any]) -> Iterator[None]:
    """Attention by the function that options name, if they do."""
    override = options.get("optimized_attention_override")
    if override is None:
        yield
    else:
        with attention_by(override, dict(options)):
            yield


@contextmanager
def replaced_joint_blocks(
    blocks: nn.ModuleList, replacements: Mapping[tuple[str, int], Replacement], options: Told
) -> Iterator[None]:
    """Blocks of two streams, ``(img, txt, vec) -> (txt, img)`` in diffusers, as functions want."""
    with ExitStack() as undo:
        for index, block in enumerate(blocks):
            function = replacements.get(("double_block", index))
            if function is not None:
                told = options | {"block": ("double_block", index), "block_index": index}
                undo.enter_context(replaced_forward(block, _joint(block.forward, function, told)))
        yield


def _joint(forward: Callable[..., Any], function: Replacement, options: Told) -> Callable[..., Any]:
    def replaced(
        hidden_states: Tensor, encoder_hidden_states: Tensor, temb: Tensor, **more: Any
    ) -> tuple[Tensor, Tensor]:
        def original_block(args: Mapping[str, Any]) -> Told:
            txt, img = forward(
                hidden_states=args["img"],
                encoder_hidden_states=args["txt"],
                temb=args["vec"],
                **more,
            )
            return {"img": img, "txt": txt}

        args = {"img": hidden_states, "txt": encoder_hidden_states, "vec": temb}
        args["transformer_options"] = options  # type: ignore[assignment]
        found = function(args, {"original_block": original_block})
        return found["txt"], found["img"]

    return replaced


@contextmanager
def replaced_single_blocks(
    blocks: nn.ModuleList, replacements: Mapping[tuple[str, int], Replacement], options: Told
) -> Iterator[None]:
    """Blocks of one stream, ``(img, vec) -> img`` with the prompt's tokens first, likewise."""
    with ExitStack() as undo:
        for index, block in enumerate(blocks):
            function = replacements.get(("single_block", index))
            if function is not None:
                told = options | {"block": ("single_block", index), "block_index": index}
                undo.enter_context(replaced_forward(block, _single(block.forward, function, told)))
        yield


def _single(
    forward: Callable[..., Any], function: Replacement, options: Told
) -> Callable[..., Any]:
    def replaced(hidden_states: Tensor, temb: Tensor, **more: Any) -> Tensor:
        def original_block(args: Mapping[str, Any]) -> Told:
            return {"img": forward(hidden_states=args["img"], temb=args["vec"], **more)}

        args = {"img": hidden_states, "vec": temb, "transformer_options": options}
        found: Tensor = function(args, {"original_block": original_block})["img"]
        return found

    return replaced


@contextmanager
def replaced_forward(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """A module with another `forward`."""
    before = vars(module).get("forward")  # hooks of diffusers put one there as well
    module.forward = forward
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before
