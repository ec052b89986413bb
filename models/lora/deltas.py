"""What is added to a weight, by kind of adapter.

LoRA: Hu et al. 2021. LoHa: Hyeon-Woo et al. 2022 (FedPara). LoKr: Yeh et al. 2024 (LyCORIS).
GLoRA: Chavan et al. 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from models.lora.files import Parts

Delta = tuple[Tensor, int | None]  # with the rank that alpha is divided by


def scaled_delta(parts: Parts, weight: Tensor | None = None) -> Tensor:
    """``scale delta`` in float32; scale is alpha / rank, or 1 without alpha or without a rank.

    GLoRA's depends on the `weight` that it is for. Computed where the weight is, if one is given.
    """
    kind = next(kind for kind in _DELTAS if has(parts, kind))
    device = None if weight is None else weight.device
    as_floats = {name: tensor.to(device, torch.float32) for name, tensor in parts.items()}
    delta, rank = _DELTAS[kind](as_floats, weight)
    if rank is None or "alpha" not in parts:
        return delta
    return delta * (as_floats["alpha"] / rank)


def has(parts: Parts, kind: str) -> bool:
    """Whether parts are of a kind."""
    return any(name.startswith(kind) and name != "diff_b" for name in parts)


def has_delta(parts: Parts) -> bool:
    """Whether parts add something to a weight."""
    return any(has(parts, kind) for kind in _DELTAS)


def _lora(parts: Parts, weight: Tensor | None) -> Delta:
    up, down = parts["up"], parts["down"]
    rank = down.shape[0]
    if "mid" in parts:  # a convolution between two of size 1
        return torch.einsum("or,rskl,si->oikl", up.flatten(1), parts["mid"], down.flatten(1)), rank
    return up.flatten(1) @ down.flatten(1), rank


def _loha(parts: Parts, weight: Tensor | None) -> Delta:
    factors = []
    for number in ("1", "2"):
        a, b = parts[f"hada_w{number}_a"], parts[f"hada_w{number}_b"]
        core = parts.get(f"hada_t{number}")
        factors.append(a @ b if core is None else torch.einsum("rskl,si,ro->oikl", core, b, a))
    return factors[0] * factors[1], parts["hada_w1_b"].shape[0]


def _lokr(parts: Parts, weight: Tensor | None) -> Delta:
    rank = None
    factors = []
    for number in ("1", "2"):
        full = parts.get(f"lokr_w{number}")
        if full is None:
            a, b = parts[f"lokr_w{number}_a"], parts[f"lokr_w{number}_b"]
            rank = b.shape[0]
            core = parts.get(f"lokr_t{number}")
            full = a @ b if core is None else torch.einsum("rskl,ro,si->oikl", core, a, b)
        factors.append(full)
    first, second = factors
    if second.ndim == 4:
        first = first[..., None, None]
    return torch.kron(first, second.contiguous()), rank


def _glora(parts: Parts, weight: Tensor | None) -> Delta:
    """``W A + B`` with both of low rank.

    LyCORIS has had two orders of the factors, [rank, in] and [in, rank]; the shapes tell.
    """
    if weight is None:
        raise KeyError("weight")
    flat = weight.float().flatten(1)
    a1, a2 = parts["glora_a1"].flatten(1), parts["glora_a2"].flatten(1)
    b1, b2 = parts["glora_b1"].flatten(1), parts["glora_b2"].flatten(1)
    if a2.shape[0] == flat.shape[1]:
        rank = a1.shape[0]
        return flat @ a2 @ a1 + b2 @ b1, rank
    return flat @ a1 @ a2 + b1 @ b2, a2.shape[0]


def _difference(parts: Parts, weight: Tensor | None) -> Delta:
    return parts["diff"], None


_DELTAS: Final[dict[str, Callable[[Parts, Tensor | None], Delta]]] = {
    "up": _lora,
    "hada": _loha,
    "lokr": _lokr,
    "glora": _glora,
    "diff": _difference,
}
