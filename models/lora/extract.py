"""A LoRA from a model whose weights are the difference of two others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.network import Network, WeightPatch


def extracted(
    network: Network[Any],
    patches: Mapping[str, Sequence[WeightPatch]],
    outer: Callable[[str], str],
    *,
    rank: int | None,
    with_biases: bool,
) -> Iterator[tuple[str, Tensor]]:
    """Names and float16 tensors of the patched weights; `outer` names a weight in the file.

    Matrices and convolutions become factors of a rank by singular value decomposition; without a
    rank they stay whole. Other weights are whole differences. Those without any are left out.
    Raises InvalidInput for a model that is no difference: then most weights have no patch.
    """
    if 2 * len(patches) < len(network.names()):
        raise InvalidInput(
            "this model is no difference of two: subtract one from the other first, with "
            "ModelMergeSubtract or CLIPMergeSubtract"
        )
    for name, changes in patches.items():
        delta = network.stored(name).float()
        for change in changes:
            delta = change.apply(delta)
        if not delta.any():
            continue
        layer, _, kind = outer(name).rpartition(".")
        if kind == "bias":
            if with_biases:
                yield f"{layer}.diff_b", delta.half()
        elif rank is not None and delta.ndim >= 2:
            up, down = factors(delta, rank)
            yield f"{layer}.lora_up.weight", up.half()
            yield f"{layer}.lora_down.weight", down.half()
        else:
            yield f"{layer}.diff", delta.half()


def factors(delta: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """up [out, r, ...] and down [r, in, ...] whose product is nearest to delta [out, in, ...]."""
    flat = delta.flatten(1)
    rank = min(rank, *flat.shape)
    u, s, v = torch.linalg.svd(flat, full_matrices=False)
    root = s[:rank].sqrt()
    up, down = u[:, :rank] * root, root[:, None] * v[:rank]
    if delta.ndim == 4:
        return up[..., None, None].contiguous(), down.reshape(rank, *delta.shape[1:]).contiguous()
    return up.contiguous(), down.contiguous()
