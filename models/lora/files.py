"""Files of LoRA and its relatives: their tensors, grouped by the layer that they are for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from torch import Tensor

from models.errors import CheckpointUnreadable
from models.weights import open_weights

# Ends of names in files -> what the tensor is. The rest of the name says which weight it is for.
SUFFIXES: Final = {
    ".lora_up.weight": "up",  # kohya
    ".lora_down.weight": "down",
    ".lora_mid.weight": "mid",
    ".lora_B.weight": "up",  # PEFT
    ".lora_A.weight": "down",
    ".lora_B.default.weight": "up",  # PEFT, with the name of the adapter
    ".lora_A.default.weight": "down",
    ".lora_B.bias": "diff_b",  # of Black Forest Labs
    "_norm.scale": "norm_scale",
    ".lora_B": "up",
    ".lora_A": "down",
    "_lora.up.weight": "up",  # diffusers' attention processors
    "_lora.down.weight": "down",
    ".lora.up.weight": "up",  # diffusers' layers with a LoRA inside
    ".lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".alpha": "alpha",
    ".dora_scale": "dora",
    ".lora_magnitude_vector": "dora",  # PEFT's DoRA
    ".lora_magnitude_vector.weight": "dora",
    ".diff": "diff",
    ".w_norm": "diff",  # LyCORIS' norms
    ".diff_b": "diff_b",
    ".b_norm": "diff_b",
    ".set_weight": "set",
    ".a1.weight": "glora_a1",
    ".a2.weight": "glora_a2",
    ".b1.weight": "glora_b1",
    ".b2.weight": "glora_b2",
    ".oft_blocks": "oft_blocks",
    ".rescale": "oft_rescale",
    **{
        f".{name}": name
        for name in (
            "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
            "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b",
            "lokr_t1", "lokr_t2",
        )
    },
    ".up.weight": "up",  # XLabs
    ".down.weight": "down",
}  # fmt: skip

Parts = Mapping[str, Tensor]

_KEPT: Final = 8  # files that stay open


@dataclass(frozen=True, kw_only=True, eq=False)
class Lora:
    """The contents of a file: for each name in it the tensors of that name."""

    path: Path
    groups: Mapping[str, Parts]
    metadata: Mapping[str, str] = field(default_factory=dict)  # what the file says of itself
    reported: set[str] = field(default_factory=set)  # names that the log has said fit nothing


_open: OrderedDict[tuple[Path, int, int], Lora] = OrderedDict()


def load_lora(path: Path) -> Lora:
    """Read a LoRA file; raises ModelFileError if it is none.

    A file that has not changed gives the same object again, so that networks see that what they
    have in their weights is what is asked for.
    """
    key = _identity(path)
    if key is not None and key in _open:
        _open.move_to_end(key)
        return _open[key]
    weights = open_weights(path)
    groups = group_tensors(weights.tensors)
    if not groups:
        raise CheckpointUnreadable(path, "it holds no LoRA", "Check that it is a LoRA file.")
    lora = Lora(path=path, groups=groups, metadata=weights.metadata)
    if key is not None:
        _open[key] = lora
        while len(_open) > _KEPT:
            _open.popitem(last=False)
    return lora


def _identity(path: Path) -> tuple[Path, int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None  # opening it says what is wrong
    return path, state.st_mtime_ns, state.st_size


def group_tensors(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors of each layer, by what they are; tensors that are none of LoRA's are left out."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
        if suffix is not None:
            groups.setdefault(name.removesuffix(suffix), {})[SUFFIXES[suffix]] = tensor
    return groups
