"""Applies the places that conditionings give to words, by GLIGEN's layers, in each call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.gligen import Gligen, Grounding
from models.protocol.options import set_patch
from models.sampling.conditioning import repeat_to_batch
from models.sampling.window import Window

Cond = dict[str, Any]


def gligen_of(cond: Mapping[str, Any]) -> Gligen | None:
    """The layers that a conditioning needs."""
    grounding = _grounding(cond)
    return None if grounding is None else grounding.model


def _grounding(cond: Mapping[str, Any]) -> Grounding | None:
    found = cond.get("gligen")
    if found is not None and not isinstance(found, Grounding):
        raise InvalidInput("a conditioning has 'gligen' that GLIGENTextBoxApply did not make")
    return found


def share_grounding(placed: Mapping[str, Sequence[Cond]]) -> None:
    """Have sides without boxes told that there are none, where the other side has some.

    As in the authors' sampling: guidance then compares predictions of one network.
    """
    models = [gligen_of(entry) for entries in placed.values() for entry in entries]
    model = next((one for one in models if one is not None), None)
    if model is None:
        return
    for entries in placed.values():
        if all(gligen_of(entry) is None for entry in entries):
            for entry in entries:
                entry["gligen"] = Grounding(model=model)


def grounded(
    conds: Sequence[Cond], windows: Sequence[Window | None], x: Tensor, options: dict[str, Any]
) -> dict[str, Any]:
    """The transformer options of a call with its grounding.

    conds: the entries that lie along the batch, all with the same layers or all without; windows:
    the part of the latent x [B, C, h, w] that each is for.
    """
    groundings = [found for cond in conds if (found := _grounding(cond)) is not None]
    if not groundings:
        return options
    whole = Window(tuple(x.shape[-2:]), (0, 0))
    inputs = [
        grounding.inputs(window or whole)
        for grounding, window in zip(groundings, windows, strict=True)
    ]
    model, batch = groundings[0].model, len(x)
    columns = [
        torch.cat([repeat_to_batch(part.unsqueeze(0), batch) for part in parts])
        for parts in zip(*inputs, strict=True)
    ]
    tokens = model.tokens(*columns)

    def fuse(latent: Tensor, told: dict[str, Any]) -> Tensor:
        return model.fused(_transformer(told["block"], told["block_index"]), latent, tokens)

    made = dict(options)
    made["patches"] = {name: list(found) for name, found in options.get("patches", {}).items()}
    set_patch({"transformer_options": made}, fuse, "middle_patch")
    return made


def _transformer(block: tuple[str, int], index: int) -> str:
    """A transformer's original name."""
    kind, number = block
    place = "middle_block" if kind == "middle" else f"{kind}_blocks.{number}"
    return f"{place}.1.transformer_blocks.{index}"
