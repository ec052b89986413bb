"""Layers that do not draw their first weights, and layers that compute in their input's type."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def cast_to(
    weight: Tensor | None,
    dtype: torch.dtype | None = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    stream: Any = None,
) -> Tensor | None:
    """A tensor in another type on another device."""
    if weight is None:
        return None
    return weight.to(device=device, dtype=dtype, non_blocking=non_blocking, copy=copy)


def cast_to_input(
    weight: Tensor | None, input: Tensor, non_blocking: bool = False, copy: bool = True
) -> Tensor | None:
    """A tensor in the type and on the device of another."""
    return cast_to(weight, input.dtype, input.device, non_blocking, copy)


def cast_bias_weight(
    s: nn.Module,
    input: Tensor | None = None,
    dtype: torch.dtype | None = None,
    device: Any = None,
    bias_dtype: torch.dtype | None = None,
    **kwargs: Any,
) -> Any:
    """(weight, bias) of a layer as its input needs them, after the layer's weight functions."""
    if input is not None:
        dtype, device = dtype or input.dtype, device or input.device
    weight = _worked(getattr(s, "weight", None), s, "weight_function", dtype, device)
    bias = _worked(getattr(s, "bias", None), s, "bias_function", bias_dtype or dtype, device)
    return (weight, bias, None) if kwargs.get("offloadable") else (weight, bias)


def uncast_bias_weight(s: nn.Module, weight: Any, bias: Any, offload_stream: Any) -> None:
    """The end of the use of what `cast_bias_weight` gave; nothing is held."""


def _worked(
    tensor: Tensor | None, layer: nn.Module, name: str, dtype: torch.dtype | None, device: Any
) -> Tensor | None:
    cast = cast_to(tensor, dtype, device)
    functions: Any = getattr(layer, name, None) or ()
    for function in functions if isinstance(functions, (list, tuple)) else (functions,):
        cast = function(cast)
    return cast


class CastWeightBiasOp:
    """Marks layers whose weights are cast when they are used."""

    comfy_cast_weights = False
    weight_function: Any = ()
    bias_function: Any = ()


class _Undrawn(CastWeightBiasOp):
    """No initial weights: they come from a file."""

    def reset_parameters(self) -> None:
        """Nothing."""

    @property
    def _casts(self) -> bool:
        return bool(self.comfy_cast_weights or self.weight_function or self.bias_function)


class disable_weight_init:
    """Layers without initial weights."""

    class Linear(_Undrawn, nn.Linear):
        """As torch.nn.Linear."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """With weights cast to the input."""
            weight, bias = cast_bias_weight(self, input)
            return functional.linear(input, weight, bias)

        def forward(self, input: Tensor) -> Tensor:
            return self.forward_comfy_cast_weights(input) if self._casts else super().forward(input)

    class Conv1d(_Undrawn, nn.Conv1d):
        """As torch.nn.Conv1d."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """With weights cast to the input."""
            weight, bias = cast_bias_weight(self, input)
            result: Tensor = self._conv_forward(input, weight, bias)
            return result

        def forward(self, input: Tensor) -> Tensor:
            return self.forward_comfy_cast_weights(input) if self._casts else super().forward(input)

    class Conv2d(_Undrawn, nn.Conv2d):
        """As torch.nn.Conv2d."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """With weights cast to the input."""
            weight, bias = cast_bias_weight(self, input)
            result: Tensor = self._conv_forward(input, weight, bias)
            return result

        def forward(self, input: Tensor) -> Tensor:
            return self.forward_comfy_cast_weights(input) if self._casts else super().forward(input)

    class Conv3d(_Undrawn, nn.Conv3d):
        """As torch.nn.Conv3d."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """With weights cast to the input."""
            weight, bias = cast_bias_weight(self, input)
            result: Tensor = self._conv_forward(input, weight, bias)
            return result

        def forward(self, input: Tensor) -> Tensor:
            return self.forward_comfy_cast_weights(input) if self._casts else super().forward(input)

    class GroupNorm(_Undrawn, nn.GroupNorm):
        """As torch.nn.GroupNorm."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """With weights cast to the input."""
            weight, bias = cast_bias_weight(self, input)
            return functional.group_norm(input, self.num_groups, weight, bias, self.eps)

        def forward(self, input: Tensor) -> Tensor:
            return self.forward_comfy_cast_weights(input) if self._casts else super().forward(input)

    class LayerNorm(_Undrawn, nn.LayerNorm):
        """As torch.nn.LayerNorm."""

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """With weights cast to the input."""
            weight, bias = cast_bias_weight(self, input)
            return functional.layer_norm(input, self.normalized_shape, weight, bias, self.eps)

        def forward(self, input: Tensor) -> Tensor:
            return self.forward_comfy_cast_weights(input) if self._casts else super().forward(input)

    class RMSNorm(_Undrawn, nn.RMSNorm):
        """As torch.nn.RMSNorm."""

        bias: Any = None

        def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
            """With weights cast to the input."""
            weight, _ = cast_bias_weight(self, input)
            return functional.rms_norm(input, self.normalized_shape, weight, self.eps)

        def forward(self, input: Tensor) -> Tensor:
            return self.forward_comfy_cast_weights(input) if self._casts else super().forward(input)

    class ConvTranspose2d(_Undrawn, nn.ConvTranspose2d):
        """As torch.nn.ConvTranspose2d."""

    class ConvTranspose1d(_Undrawn, nn.ConvTranspose1d):
        """As torch.nn.ConvTranspose1d."""

    class Embedding(_Undrawn, nn.Embedding):
        """As torch.nn.Embedding; `out_dtype` is the type of what it gives."""

        bias: Any = None

        def forward(self, input: Tensor, out_dtype: torch.dtype | None = None) -> Tensor:
            found = super().forward(input)
            return found if out_dtype is None else found.to(out_dtype)

    @classmethod
    def conv_nd(cls, dims: int, *args: Any, **kwargs: Any) -> nn.Module:
        """A convolution of so many dimensions."""
        kinds: dict[int, Callable[..., nn.Module]] = {1: cls.Conv1d, 2: cls.Conv2d, 3: cls.Conv3d}
        if dims not in kinds:
            raise ValueError(f"there is no convolution of {dims} dimensions")
        return kinds[dims](*args, **kwargs)


class manual_cast(disable_weight_init):
    """The same layers with weights that are cast to the input at every call."""

    class Linear(disable_weight_init.Linear):
        """As torch.nn.Linear."""

        comfy_cast_weights = True

    class Conv1d(disable_weight_init.Conv1d):
        """As torch.nn.Conv1d."""

        comfy_cast_weights = True

    class Conv2d(disable_weight_init.Conv2d):
        """As torch.nn.Conv2d."""

        comfy_cast_weights = True

    class Conv3d(disable_weight_init.Conv3d):
        """As torch.nn.Conv3d."""

        comfy_cast_weights = True

    class GroupNorm(disable_weight_init.GroupNorm):
        """As torch.nn.GroupNorm."""

        comfy_cast_weights = True

    class LayerNorm(disable_weight_init.LayerNorm):
        """As torch.nn.LayerNorm."""

        comfy_cast_weights = True

    class RMSNorm(disable_weight_init.RMSNorm):
        """As torch.nn.RMSNorm."""

        comfy_cast_weights = True

    class ConvTranspose2d(disable_weight_init.ConvTranspose2d):
        """As torch.nn.ConvTranspose2d."""

    class ConvTranspose1d(disable_weight_init.ConvTranspose1d):
        """As torch.nn.ConvTranspose1d."""

    class Embedding(disable_weight_init.Embedding):
        """As torch.nn.Embedding."""


def pick_operations(
    weight_dtype: torch.dtype | None,
    compute_dtype: torch.dtype | None,
    load_device: Any = None,
    disable_fast_fp8: bool = False,
    **kwargs: Any,
) -> type[disable_weight_init]:
    """The layers for weights of one type and computation in another."""
    if compute_dtype is None or weight_dtype == compute_dtype:
        return disable_weight_init
    return manual_cast


def scaled_dot_product_attention(q: Tensor, k: Tensor, v: Tensor, *args: Any, **kw: Any) -> Tensor:
    """As torch's."""
    return functional.scaled_dot_product_attention(q, k, v, *args, **kw)


def use_no_grad() -> AbstractContextManager[Any]:
    """Computation without gradients."""
    return torch.no_grad()
