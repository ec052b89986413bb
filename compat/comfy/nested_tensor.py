"""Several tensors that travel as one."""

from __future__ import annotations

from typing import Any

from torch import Tensor


class NestedTensor:
    """Latents of different kinds, such as video and its sound."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self.tensors = list(tensors)
        self.is_nested = True

    def unbind(self) -> list[Tensor]:
        """The tensors."""
        return self.tensors

    def _each(self, name: str, *args: Any, **kwargs: Any) -> NestedTensor:
        return NestedTensor([getattr(tensor, name)(*args, **kwargs) for tensor in self.tensors])

    def to(self, *args: Any, **kwargs: Any) -> NestedTensor:
        """All in another type or place."""
        return self._each("to", *args, **kwargs)

    def float(self) -> NestedTensor:
        """All in single precision."""
        return self._each("float")

    def cpu(self) -> NestedTensor:
        """All on the CPU."""
        return self._each("cpu")

    def clone(self) -> NestedTensor:
        """Copies of all."""
        return self._each("clone")

    @property
    def shape(self) -> Any:
        """The shape of the first."""
        return self.tensors[0].shape

    @property
    def ndim(self) -> int:
        """The number of axes of the first."""
        return max(tensor.ndim for tensor in self.tensors)

    @property
    def device(self) -> Any:
        """The device of the first."""
        return self.tensors[0].device

    @property
    def dtype(self) -> Any:
        """The type of the first."""
        return self.tensors[0].dtype


def cat_nested(tensors: list[NestedTensor], *args: Any, **kwargs: Any) -> NestedTensor:
    """Joined one by one."""
    import torch

    columns = zip(*(nested.tensors for nested in tensors), strict=True)
    return NestedTensor([torch.cat(column, *args, **kwargs) for column in columns])
