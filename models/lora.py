"""LoRA and its relatives: reads their files and makes weight patches of them.

LoRA: Hu et al. 2021. LoHa: Hyeon-Woo et al. 2022 (FedPara). LoKr: Yeh et al. 2024 (LyCORIS).
DoRA: Liu et al. 2024.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from models.errors import CheckpointUnreadable
from models.network import Network, WeightPatch
from models.weights import open_weights

if TYPE_CHECKING:
    from models.handle import ModelHandle
    from models.text.handle import TextHandle

logger = logging.getLogger(__name__)

# Ends of names in files -> what the tensor is. The rest of the name says which weight it is for.
SUFFIXES: Final = {
    ".lora_up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_mid.weight": "mid",
    ".lora_B.weight": "up",
    ".lora_A.weight": "down",
    "_lora.up.weight": "up",
    "_lora.down.weight": "down",
    ".alpha": "alpha",
    ".dora_scale": "dora",
    ".diff": "diff",
    ".diff_b": "diff_b",
    **{
        f".{name}": name
        for name in (
            "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
            "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
        )
    },
}  # fmt: skip

Parts = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class DeltaPatch:
    """One weight's change: the tensors that make it up, and how strongly it is applied."""

    parts: Parts
    strength: float

    def apply(self, weight: Tensor) -> Tensor:
        """``W + strength scale delta``, or the DoRA form of it."""
        delta = scaled_delta(self.parts).reshape(weight.shape)
        if "dora" not in self.parts:
            return weight + self.strength * delta
        return weight + self.strength * (_dora(weight, delta, self.parts["dora"]) - weight)


@dataclass(frozen=True, eq=False)
class BiasPatch:
    """One bias's change."""

    difference: Tensor
    strength: float

    def apply(self, weight: Tensor) -> Tensor:
        """``b + strength difference``."""
        return weight + self.strength * self.difference.float().reshape(weight.shape)


@dataclass(frozen=True, kw_only=True)
class Lora:
    """The contents of a file: for each name in it the tensors of that name."""

    path: Path
    groups: Mapping[str, Parts]


def load_lora(path: Path) -> Lora:
    """Read a LoRA file; raises ModelFileError if it is none."""
    groups = group_tensors(open_weights(path).tensors)
    if not groups:
        raise CheckpointUnreadable(path, "it holds no LoRA", "Check that it is a LoRA file.")
    return Lora(path=path, groups=groups)


def group_tensors(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors of each layer, by what they are; tensors that are none of LoRA's are left out."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
        if suffix is not None:
            groups.setdefault(name.removesuffix(suffix), {})[SUFFIXES[suffix]] = tensor
    return groups


def apply_lora(
    lora: Lora,
    model: ModelHandle,
    text: TextHandle | None,
    *,
    strength_model: float,
    strength_text: float,
) -> tuple[ModelHandle, TextHandle | None]:
    """Handles with the LoRA in their weights. Names that fit nothing are counted in the log."""
    names = unet_names(model.network)
    model_patches = lora_patches(lora, names, model.network, strength_model)
    used = set(names)
    if text is not None:
        text_names_ = text_names(text.network)
        used |= set(text_names_)
        text = text.with_patches(lora_patches(lora, text_names_, text.network, strength_text))
    unused = [name for name in lora.groups if name not in used]
    if unused:
        logger.warning(
            "%d of %d entries of '%s' fit no weight of the model, such as '%s'",
            len(unused), len(lora.groups), lora.path, unused[0],
        )  # fmt: skip
    return model.with_patches(model_patches), text


def unet_names(network: Network[Any]) -> dict[str, str]:
    """Names that files use for layers of a UNet -> the layers' names in the network."""
    names: dict[str, str] = {}
    for layer in _layers(network):
        for spelling in (layer, network.original(f"{layer}.weight").removesuffix(".weight")):
            names[f"lora_unet_{spelling.replace('.', '_')}"] = layer
            names[f"unet.{spelling}"] = layer
            names[f"diffusion_model.{spelling}"] = layer
        attention, _, projection = layer.partition(".to_")
        if projection:
            short = projection.removesuffix(".0")
            names[f"unet.{attention}.processor.to_{short}"] = layer
    return names


def text_names(network: Network[Any]) -> dict[str, str]:
    """Names that files use for layers of a CLIP-L text encoder -> their names in the network."""
    names: dict[str, str] = {}
    for layer in _layers(network):
        full = f"text_model.{layer.removeprefix('text_model.')}"
        for prefix in ("lora_te_", "lora_te1_"):
            names[prefix + full.replace(".", "_")] = layer
        names[f"text_encoder.{full}"] = layer
    return names


def _layers(network: Network[Any]) -> list[str]:
    return [name.removesuffix(".weight") for name in network.names() if name.endswith(".weight")]


def lora_patches(
    lora: Lora, names: Mapping[str, str], network: Network[Any], strength: float
) -> dict[str, list[WeightPatch]]:
    """What a LoRA changes in a network; `names` is from `unet_names` or `text_names`."""
    patches: dict[str, list[WeightPatch]] = {}
    if strength == 0.0:
        return patches
    for name, parts in lora.groups.items():
        layer = names.get(name)
        if layer is None:
            continue
        if "diff_b" in parts and f"{layer}.bias" in network:
            change = BiasPatch(parts["diff_b"], strength)
            patches.setdefault(f"{layer}.bias", []).append(change)
        if any(_has(parts, kind) for kind in _DELTAS):
            _check(lora, name, parts, network.shape(f"{layer}.weight"))
            patches.setdefault(f"{layer}.weight", []).append(DeltaPatch(parts, strength))
    return patches


def _check(lora: Lora, name: str, parts: Parts, shape: tuple[int, ...]) -> None:
    try:
        fits = scaled_delta(parts).numel() == torch.Size(shape).numel()
    except (RuntimeError, KeyError, IndexError) as error:
        raise CheckpointUnreadable(lora.path, f"'{name}' is malformed ({error})") from error
    if not fits:
        raise CheckpointUnreadable(
            lora.path,
            f"'{name}' does not fit a weight of shape {shape}",
            "Use a LoRA that was made for this model family.",
        )


def scaled_delta(parts: Parts) -> Tensor:
    """``scale delta`` in float32; scale is alpha / rank, or 1 without alpha or without a rank."""
    kind = next(kind for kind in _DELTAS if _has(parts, kind))
    delta, rank = _DELTAS[kind]({name: tensor.float() for name, tensor in parts.items()})
    if rank is None or "alpha" not in parts:
        return delta
    return delta * (float(parts["alpha"]) / rank)


def _has(parts: Parts, kind: str) -> bool:
    return any(name.startswith(kind) and name != "diff_b" for name in parts)


def _lora(parts: Parts) -> tuple[Tensor, int | None]:
    up, down = parts["up"], parts["down"]
    rank = down.shape[0]
    if "mid" in parts:  # a convolution between two of size 1
        return torch.einsum("or,rskl,si->oikl", up.flatten(1), parts["mid"], down.flatten(1)), rank
    return up.flatten(1) @ down.flatten(1), rank


def _loha(parts: Parts) -> tuple[Tensor, int | None]:
    factors = []
    for number in ("1", "2"):
        a, b = parts[f"hada_w{number}_a"], parts[f"hada_w{number}_b"]
        core = parts.get(f"hada_t{number}")
        factors.append(a @ b if core is None else torch.einsum("rskl,si,ro->oikl", core, b, a))
    return factors[0] * factors[1], parts["hada_w1_b"].shape[0]


def _lokr(parts: Parts) -> tuple[Tensor, int | None]:
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


def _difference(parts: Parts) -> tuple[Tensor, int | None]:
    return parts["diff"], None


_DELTAS: Final[dict[str, Callable[[Parts], tuple[Tensor, int | None]]]] = {
    "up": _lora,
    "hada": _loha,
    "lokr": _lokr,
    "diff": _difference,
}


def _dora(weight: Tensor, delta: Tensor, magnitude: Tensor) -> Tensor:
    """The merged weight with the length of each row (or column) as learned."""
    merged = weight + delta
    magnitude = magnitude.float()
    if magnitude.shape[0] == weight.shape[0]:
        length = weight.flatten(1).norm(dim=1)
        shape = (-1, *[1] * (weight.ndim - 1))
    else:
        length = merged.transpose(0, 1).flatten(1).norm(dim=1)
        shape = (1, -1, *[1] * (weight.ndim - 2))
    length = length + torch.finfo(torch.float32).eps
    result: Tensor = merged * (magnitude.reshape(shape) / length.reshape(shape))
    return result
