"""Names for annotations in node packs, and the names of socket types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypedDict

from comfy.comfy_types.node_typing import (
    IO,
    CheckLazyMixin,
    ComfyNodeABC,
    FileLocator,
    InputTypeDict,
)
from torch import Tensor


class UnetApplyFunction(Protocol):
    """Calls the network on noisy latents `x` at times `t`."""

    def __call__(self, x: Tensor, t: Tensor, **kwargs: Any) -> Tensor: ...


class UnetApplyConds(TypedDict, total=False):
    """What the network is called with beside latents and times."""

    c_concat: Tensor | None
    c_crossattn: Tensor | None
    control: Tensor | None
    transformer_options: dict[str, Any] | None


class UnetParams(TypedDict):
    """What a wrapper around the network gets."""

    input: Tensor
    timestep: Tensor
    c: UnetApplyConds
    cond_or_uncond: Tensor


UnetWrapperFunction: TypeAlias = Callable[[UnetApplyFunction, UnetParams], Tensor]

__all__ = [
    "IO",
    "CheckLazyMixin",
    "ComfyNodeABC",
    "FileLocator",
    "InputTypeDict",
    "UnetApplyConds",
    "UnetApplyFunction",
    "UnetParams",
    "UnetWrapperFunction",
]
