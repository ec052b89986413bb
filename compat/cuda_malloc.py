"""ComfyUI's `cuda_malloc`: which GPUs there are, for the choice of torch's allocator."""

from __future__ import annotations

import torch

blacklist: set[str] = set()  # GPUs whose driver's allocator is not to be used


def get_gpu_names() -> set[str]:
    """The names of all GPUs that torch sees."""
    return {torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}


def cuda_malloc_supported() -> bool:
    """Whether the driver's own allocator can be used."""
    return torch.cuda.is_available() and not any(
        name in gpu for gpu in get_gpu_names() for name in blacklist
    )
