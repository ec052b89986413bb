"""Networks that do not fit onto a device: weights wait at home and come layer by layer.

The transfers are diffusers' group offloading, on a CUDA stream of their own where there is one.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from models.devices import HOME

# diffusers' names of its hooks on modules.
_HOOKS: Final = ("lazy_prefetch_group_offloading", "layer_execution_tracker", "group_offloading")
_FINENESS: Final = 16  # a block that stays or comes as one is no larger than that part of the whole


def can_stream(module: nn.Module) -> bool:
    """Whether a module calls its layers in a way that lets their weights come and go."""
    return bool(getattr(module, "_supports_group_offloading", False))


def stream_weights(module: nn.Module, device: torch.device, budget: int) -> int:
    """Have a module at home compute on `device`, with up to `budget` bytes there to stay.

    Blocks stay in the order in which they lie in the module; layers of the others are fetched when
    they are called, each while the one before it computes. Returns how many bytes stay.
    """
    blocks, loose = _taken_apart(module, weight_bytes(module) // _FINENESS)
    for tensor in loose:  # no layer's, but used by the module itself
        tensor.data = tensor.data.to(device)
    staying = sum(tensor.nbytes for tensor in loose)
    for block in blocks:
        size = weight_bytes(block)
        if staying + size <= budget:
            block.to(device)
            staying += size
        elif size:
            _stream(block, device)
    return staying


def _taken_apart(module: nn.Module, most: int) -> tuple[list[nn.Module], list[torch.Tensor]]:
    """The modules of at most so many bytes (or without parts) in a larger one, and what is left."""
    blocks: list[nn.Module] = []
    loose = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    for child in module.children():
        is_list = isinstance(child, nn.ModuleList | nn.ModuleDict)  # it is not called itself
        if is_list or (weight_bytes(child) > most and any(child.children())):
            more, others = _taken_apart(child, most)
            blocks += more
            loose += others
        else:
            blocks.append(child)
    return blocks, loose


def _stream(module: nn.Module, device: torch.device) -> None:
    from diffusers.hooks import apply_group_offloading

    on_gpu = device.type == "cuda"
    apply_group_offloading(
        module,
        onload_device=device,
        offload_device=HOME,
        offload_type="leaf_level",
        use_stream=on_gpu,
        record_stream=on_gpu,
        # Pages are pinned for each transfer: pinned for good, they would be a copy of the file.
        low_cpu_mem_usage=on_gpu,
    )


def stop_streaming(module: nn.Module) -> None:
    """Undo `stream_weights`, but for where weights are now."""
    from diffusers.hooks import HookRegistry

    for each in module.modules():
        if hasattr(each, "_diffusers_hook"):
            registry = HookRegistry.check_if_exists_or_initialize(each)
            for name in _HOOKS:
                registry.remove_hook(name, recurse=False)


def weight_bytes(module: nn.Module) -> int:
    """Bytes of the weights and buffers of a module."""
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
