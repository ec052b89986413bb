"""A tensor that is kept in fewer bits than it computes in.

To whoever computes with it, it is a tensor of the type of computation: any operation decodes it,
uses the values, and drops them. So a network computes layer by layer from weights as they lie in
their file, whatever library its layers are from. What moves a tensor or takes rows of it does the
same to the bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from models.mapping import release_pages
from models.stored.changed import Changed, WeightPatch
from models.stored.encoded import Encoded

_aten = torch.ops.aten
_get_data: Any = vars(torch._C.TensorBase)["data"].__get__
_set_data: Any = vars(torch._C.TensorBase)["data"].__set__


class StoredTensor(Tensor):
    """`encoded` values, computed in `dtype`."""

    encoded: Encoded

    @staticmethod
    def __new__(cls, encoded: Encoded, dtype: torch.dtype) -> StoredTensor:
        """A tensor of the shape of the values, on their device."""
        shape = encoded.shape
        made: StoredTensor = Tensor._make_wrapper_subclass(
            cls, shape, strides=_strides(shape), dtype=dtype, device=encoded.raw.device
        )
        made.encoded = encoded
        return made

    def __init__(self, encoded: Encoded, dtype: torch.dtype) -> None:
        pass

    def values(self, dtype: torch.dtype | None = None) -> Tensor:
        """An ordinary tensor of the values, rounded once to a type, else to its own.

        Pictures' kernels lie in memory channels last, as those do that are converted when a network
        is made.
        """
        values = self.encoded.decode(dtype or self.dtype)
        self.encoded.release()
        if values.ndim == 4:
            return values.contiguous(memory_format=torch.channels_last)
        return values

    def computed_in(self, dtype: torch.dtype, changes: Sequence[WeightPatch] = ()) -> StoredTensor:
        """The same bits, for computation in another type, with changes."""
        return StoredTensor(Changed.of(self.encoded, changes), dtype)

    @property
    def nbytes(self) -> int:  # type: ignore[override]
        """What it takes up, in memory or in its file."""
        return self.encoded.nbytes

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"StoredTensor({type(self.encoded).__name__}, {tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_function__(
        cls,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Let `.data` be what it is of other tensors: the tensor itself, and to be replaced."""
        if func == _get_data:
            return args[0].detach()
        if func == _set_data:
            return args[0]._become(args[1])
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    def _become(self, other: StoredTensor) -> None:
        with torch._C.DisableTorchFunctionSubclass():
            _set_data(self, other)
        self.encoded = other.encoded

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute with the values, unless the operation can be done to the bits."""
        kwargs = kwargs or {}
        if func in _ON_BITS:
            result = _ON_BITS[func](*args, **kwargs)
            if result is not NotImplemented:
                return result
        elif torch.is_inference_mode_enabled():  # which does not take operations apart by itself
            result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        if func._schema.is_mutable and args and isinstance(args[0], StoredTensor):
            raise TypeError(
                "a weight that is kept in fewer bits cannot be written to; put another one in its "
                "place, or patch it"
            )
        args, kwargs = tree_map_only(StoredTensor, lambda tensor: tensor.values(), (args, kwargs))
        return func(*args, **kwargs)

    def _with(self, encoded: Encoded | None) -> Any:
        """Part of it, if it can be had."""
        return NotImplemented if encoded is None else StoredTensor(encoded, self.dtype)


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Those that the values have."""
    if len(shape) == 4:
        _, channels, height, width = shape
        return channels * height * width, 1, width * channels, channels
    strides = [1]
    for length in reversed(shape[1:]):
        strides.append(strides[-1] * length)
    return tuple(reversed(strides)) if shape else ()


def _detach(tensor: StoredTensor) -> StoredTensor:
    return tensor.computed_in(tensor.dtype)


def _to_copy(
    tensor: StoredTensor,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
    non_blocking: bool = False,
    **_: Any,
) -> Any:
    dtype = dtype or tensor.dtype
    if not dtype.is_floating_point:
        return NotImplemented
    if device is None:
        return tensor.computed_in(dtype)
    encoded = tensor.encoded.moved(lambda part: part.to(device, non_blocking=non_blocking))
    return StoredTensor(encoded, dtype)


def _slice(
    tensor: StoredTensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Any:
    if dim not in (0, -tensor.ndim) or step != 1:
        return NotImplemented
    first, last, _ = slice(start, end).indices(tensor.shape[0])
    return tensor._with(tensor.encoded.rows(first, max(first, last)))


def _split(tensor: StoredTensor, size: int, dim: int = 0) -> Any:
    length = tensor.shape[dim]
    return _split_sizes(
        tensor, [min(size, length - start) for start in range(0, length, size)], dim
    )


def _split_sizes(tensor: StoredTensor, sizes: Sequence[int], dim: int = 0) -> Any:
    parts, start = [], 0
    for size in sizes:
        part = _slice(tensor, dim, start, start + size)
        if part is NotImplemented:
            return NotImplemented
        parts.append(part)
        start += size
    return parts


def _cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    first, *others = tensors
    stored = [tensor for tensor in tensors if isinstance(tensor, StoredTensor)]
    if dim != 0 or len(stored) != len(tensors):
        return NotImplemented
    return first._with(first.encoded.joined([tensor.encoded for tensor in others]))


def _embedding(table: Any, indices: Tensor, *_: Any) -> Any:
    if not isinstance(table, StoredTensor):
        return NotImplemented
    found = table._with(table.encoded.picked(indices.flatten()))
    return (
        NotImplemented
        if found is NotImplemented
        else found.values().view(*indices.shape, *table.shape[1:])
    )


def _same_view(tensor: StoredTensor, shape: Sequence[int]) -> Any:
    return _detach(tensor) if tuple(shape) == tuple(tensor.shape) else NotImplemented


def _pinned(tensor: StoredTensor, *_: Any, **__: Any) -> StoredTensor:
    encoded = tensor.encoded.moved(lambda part: part.pin_memory())
    return StoredTensor(encoded, tensor.dtype)


def _is_pinned(tensor: StoredTensor, *_: Any, **__: Any) -> bool:
    return tensor.encoded.raw.is_pinned()


def _record_stream(tensor: StoredTensor, stream: Any) -> None:
    def record(part: Tensor) -> Tensor:
        part.record_stream(stream)
        return part

    tensor.encoded.moved(record)


# What is done to the bits; NotImplemented: not possible in this case.
_ON_BITS: Final[Mapping[Any, Callable[..., Any]]] = {
    _aten.detach.default: _detach,
    _aten.alias.default: _detach,
    _aten._to_copy.default: _to_copy,
    _aten.slice.Tensor: _slice,
    _aten.split.Tensor: _split,
    _aten.split_with_sizes.default: _split_sizes,
    _aten.cat.default: _cat,
    _aten.view.default: _same_view,
    _aten.embedding.default: _embedding,
    _aten._pin_memory.default: _pinned,
    _aten.is_pinned.default: _is_pinned,
    _aten.record_stream.default: _record_stream,
}


def values_of(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """An ordinary tensor of a type, however the given one is kept."""
    return tensor.values(dtype) if isinstance(tensor, StoredTensor) else tensor.to(dtype)


def release(tensor: Tensor) -> None:
    """Give the pages of a mapped tensor back, however it is kept (models.mapping)."""
    if isinstance(tensor, StoredTensor):
        tensor.encoded.release()
    else:
        release_pages(tensor)
