"""LoRA files for networks that see more channels than the one at hand.

FLUX.1 Canny and Depth are also published as files of differences: with one, a network sees a map
beside the latent, as diffusers has it when it loads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.nn import functional

from models.lora.files import Lora
from models.lora.patches import ColumnsPatch
from models.network import Network
from models.parts import Part
from models.stored import values_of
from models.weights import Weights

if TYPE_CHECKING:
    from models.handle import ModelHandle


def widened(model: ModelHandle, lora: Lora, names: Mapping[str, str | Part]) -> ModelHandle:
    """The model with as many inputs as the LoRA is for: what is new says nothing by itself.

    `names` is from models.lora.names. A model that has as many comes back as it is.
    """
    layer = model.model.diffusion_model.input_layer
    wanted = max((_columns(lora, name) for name in names if _is(names[name], layer)), default=0)
    weight = f"{layer}.weight"
    if layer is None or wanted <= model.network.shape(weight)[1]:
        return model
    network = model.network.variant(wanted, lambda: _with_inputs(model, weight, wanted))
    before = model.network.shape(weight)[1]
    patches = {
        **model.patches,
        weight: tuple(ColumnsPatch(p, before) for p in model.patches.get(weight, ())),
    }
    return model.with_network(network, patches)


def _is(target: str | Part, layer: str | None) -> bool:
    return (target.weight if isinstance(target, Part) else target) == layer


def _columns(lora: Lora, name: str) -> int:
    down = lora.groups.get(name, {}).get("down")
    return 0 if down is None else int(down.shape[1])


def _with_inputs(model: ModelHandle, weight: str, columns: int) -> Network[Any]:
    base = model.network
    tensors = {base.original(name): base.stored(name) for name in base.names()}
    stored = tensors[weight]
    seen = values_of(stored, stored.dtype if stored.itemsize > 1 else base.own_dtype)
    tensors[weight] = functional.pad(seen, (0, columns - seen.shape[1]))
    made = model.family.build_denoiser(Weights(path=Path(weight), tensors=tensors), base.own_dtype)
    assert made is not None, "a network is built from the weights of one of its kind"
    made.keep_as(base.storage)
    return made
