"""Networks that do not fit onto a device: weights wait at home and come layer by layer.

The transfers are diffusers' group offloading, on a CUDA stream of their own where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from models.devices import HOME

# diffusers' names of its hooks on modules.
_HOOKS = ("lazy_prefetch_group_offloading", "layer_execution_tracker", "group_offloading")


def can_stream(module: nn.Module) -> bool:
    """Whether a module calls its layers in a way that lets their weights come and go."""
    return bool(getattr(module, "_supports_group_offloading", False))


def stream_weights(module: nn.Module, device: torch.device, budget: int) -> int:
    """Have a module at home compute on `device`, with up to `budget` bytes there to stay.

    Blocks stay in the order in which they lie in the module; layers of the others are fetched when
    they are called, each while the one before it computes. Returns how many bytes stay.
    """
    own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    for tensor in own:
        tensor.data = tensor.data.to(device)
    staying = sum(tensor.nbytes for tensor in own)
    for unit in units(module):
        size = weight_bytes(unit)
        if staying + size <= budget:
            unit.to(device)
            staying += size
        elif size:
            _stream(unit, device)
    return staying


def units(module: nn.Module) -> Iterator[nn.Module]:
    """The modules that it calls itself: its children, and in place of lists what is in them."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        elif isinstance(child, nn.ModuleDict):
            yield from child.values()
        else:
            yield child


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
