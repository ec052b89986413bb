"""The layers of a network that adapters go to, what files call them, and weights for autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import InvalidInput
from models.lora.files import SUFFIXES, Parts
from models.lora.names import model_names
from models.network import Network
from models.parts import Part
from models.stored.tensor import StoredTensor

# What a tensor is -> how names of it end in files.
_ENDINGS = {kind: suffix for suffix, kind in reversed(SUFFIXES.items())}


def trained_layers(network: Network[Any]) -> dict[str, nn.Module]:
    """Names in files -> matrices and convolutions of the network."""
    return {
        _file_name(network, name): module
        for name, module in network.module.named_modules()
        if _is_trained(module)
    }


def _is_trained(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return module.groups == 1 and module.padding_mode == "zeros"
    return isinstance(module, nn.Linear)


def _file_name(network: Network[Any], layer: str) -> str:
    weight = f"{layer}.weight"
    if weight in network.parts:  # of a weight of the file; files name such layers by diffusers
        return f"diffusion_model.{layer}"
    return f"diffusion_model.{network.original(weight).removesuffix('.weight')}"


def tensors_of(groups: Mapping[str, Parts]) -> dict[str, Tensor]:
    """The parts of layers under the names that they have in a file."""
    return {
        f"{layer}{_ENDINGS[kind]}": tensor
        for layer, parts in groups.items()
        for kind, tensor in parts.items()
    }


def known_groups(network: Network[Any], groups: Mapping[str, Parts]) -> dict[str, Parts]:
    """What a file has for layers of the network, under the names of `trained_layers`.

    Raises InvalidInput if it is for other layers, or for several of them as one.
    """
    ours: dict[Part, str] = {}
    for name, module in network.module.named_modules():
        if _is_trained(module):
            weight = network.parts.get(f"{name}.weight", Part(f"{name}.weight"))
            layer = Part(weight.weight.removesuffix(".weight"), weight.rows)
            ours[layer] = _file_name(network, name)
    targets = model_names(network)
    found: dict[str, Parts] = {}
    for name, parts in groups.items():
        target = targets.get(name)
        if target is None:
            continue
        part = target if isinstance(target, Part) else Part(target)
        if part not in ours:
            raise InvalidInput(
                f"'{name}' stands for several layers of this network at once, or for none that "
                "is trained: this LoRA cannot be trained further"
            )
        found[ours[part]] = parts
    if not found:
        raise InvalidInput("the LoRA to go on from is for another model: no name in it fits")
    return found


@contextmanager
def weights_for_autograd(module: nn.Module) -> Iterator[None]:
    """Have weights that were read in inference mode be ones that autograd accepts, for a while.

    They share memory with the others.
    """
    replaced: list[tuple[dict[str, Any], str, Any]] = []
    for owner in module.modules():
        tables: tuple[dict[str, Any], ...] = (owner._parameters, owner._buffers)
        for table in tables:
            for name, tensor in table.items():
                if tensor is not None and tensor.is_inference():
                    replaced.append((table, name, tensor))
                    alias = _alias(tensor)
                    is_weight = isinstance(tensor, nn.Parameter)
                    table[name] = nn.Parameter(alias, requires_grad=False) if is_weight else alias
    try:
        yield
    finally:
        for table, name, tensor in replaced:
            table[name] = tensor


def _alias(tensor: Tensor) -> Tensor:
    """An ordinary tensor in the same memory."""
    data = tensor.data
    if isinstance(data, StoredTensor):
        return data.computed_in(data.dtype)
    made = torch.empty(0, dtype=data.dtype, device=data.device)
    return made.set_(data.untyped_storage(), data.storage_offset(), data.shape, data.stride())


def for_autograd(value: Any) -> Any:
    """A value of tensors in lists and dicts, with copies of those made in inference mode."""
    if isinstance(value, Tensor):
        return value.clone() if value.is_inference() else value
    if isinstance(value, Mapping):
        return {name: for_autograd(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_autograd(part) for part in value]
    return value


Hook = Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]


@contextmanager
def hooked(layers: Mapping[str, nn.Module], hooks: Mapping[str, Hook]) -> Iterator[None]:
    """Have layers put out what hooks make of their output, for a while."""
    handles = [layers[name].register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
