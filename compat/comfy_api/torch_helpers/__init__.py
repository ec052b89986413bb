"""Helpers around torch.compile."""

from __future__ import annotations

from typing import Any


def set_torch_compile_wrapper(model: Any, *args: Any, **kwargs: Any) -> None:
    """Not possible yet."""
    raise NotImplementedError(
        "comfy_api.torch_helpers.set_torch_compile_wrapper: Darkroom does not compile models yet; "
        "take the node out of the workflow"
    )


__all__ = ["set_torch_compile_wrapper"]
