"""Attention computed by a function of a pack instead of torch, whatever network it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from models.protocol.attention import INSIDE_OVERRIDE, attention

Override = Callable[..., Tensor]  # (attention, q, k, v [B, T, heads D], heads, ...) -> like q


@contextmanager
def attention_by(override: Override, options: dict[str, Any]) -> Iterator[None]:
    """Have `override` compute all attention of this thread; `options` are what it is told."""
    with _Mode(override, options):
        yield


class _Mode(TorchFunctionMode):
    def __init__(self, override: Override, options: dict[str, Any]) -> None:
        super().__init__()
        self.override = override
        self.options = options

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not functional.scaled_dot_product_attention:
            return func(*args, **kwargs)
        return self._attend(*args, **kwargs)

    def _attend(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **_: Any
    ) -> Tensor:
        """q, k, v are [B, heads, T, D] here. No network that diffuses has dropout when it runs."""
        heads = query.shape[1]
        q, k, v = (t.transpose(1, 2).flatten(2) for t in (query, key, value))
        more = {} if attn_mask is None else {"mask": attn_mask}
        told = {"transformer_options": self.options, INSIDE_OVERRIDE: True}
        found = self.override(attention, q, k, v, heads, **more, **told)
        return found.reshape(*found.shape[:2], heads, -1).transpose(1, 2)
