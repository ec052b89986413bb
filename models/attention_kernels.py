"""Which function computes attention: torch's, in pieces, or that of a package."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Kernel = Literal["auto", "pytorch", "split", "sage", "flash", "xformers"]

# Kernel -> the name of diffusers' attention dispatcher.
_PACKAGES: Final[dict[Kernel, str]] = {"sage": "sage", "flash": "flash", "xformers": "xformers"}
_HALVES: Final = (torch.float16, torch.bfloat16)
# The widest heads that they take: VAEs have one of all their channels, SD 1 has some of 160.
_WIDEST: Final[dict[Kernel, int]] = {"sage": 128, "flash": 256}
# Scores of attention that are in memory at once with `split`.
_MOST_SCORES: Final = 2**26


@dataclass(frozen=True)
class Attention:
    """How attention is computed, whatever network it is in."""

    kernel: Kernel = "auto"
    upcast: bool = False  # in float32
    most_scores: int = _MOST_SCORES

    def active(self) -> AbstractContextManager[Any]:
        """Has attention of this thread computed so."""
        if self.kernel in ("auto", "pytorch") and not self.upcast:
            return nullcontext()
        return _Mode(self)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        """Attention of q, k, v [B, heads, T, D], as torch's function has it."""
        if self.upcast:
            mask = options.get("attn_mask")
            if mask is not None and mask.is_floating_point():
                options["attn_mask"] = mask.float()
            return self._attend(q.float(), k.float(), v.float(), options).to(q.dtype)
        return self._attend(q, k, v, options)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        if self.kernel == "split":
            return _split(q, k, v, options, self.most_scores)
        name = _PACKAGES.get(self.kernel)
        if name is None or not _suits(self.kernel, q, options):
            return functional.scaled_dot_product_attention(q, k, v, **options)
        from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn

        query, key, value = (t.transpose(1, 2) for t in (q, k, v))
        found: Tensor = dispatch_attention_fn(
            query,
            key,
            value,
            is_causal=options.get("is_causal", False),
            scale=options.get("scale"),
            backend=AttentionBackendName(name),
        )
        return found.transpose(1, 2)


def why_not(kernel: Kernel) -> str | None:
    """Why this process cannot compute attention so, such as a version that is too old."""
    if kernel not in _PACKAGES:
        return None
    from diffusers.models.attention_dispatch import attention_backend

    try:
        with attention_backend(_PACKAGES[kernel]):
            return None
    except (RuntimeError, ValueError) as error:
        return str(error)


def _suits(kernel: Kernel, q: Tensor, options: dict[str, Any]) -> bool:
    """Whether a package's function takes it: half precision on a GPU, without a mask."""
    return (
        q.is_cuda
        and q.ndim == 4
        and q.dtype in _HALVES
        and q.shape[-1] <= _WIDEST.get(kernel, q.shape[-1])
        and options.get("attn_mask") is None
        and not options.get("dropout_p")
        and not options.get("enable_gqa")
    )


def _split(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any], most_scores: int) -> Tensor:
    """Queries a few at a time, so that only so many scores are in memory at once."""
    scores = math.prod(q.shape[:-1]) * k.shape[-2]
    if scores <= most_scores or options.get("is_causal"):
        return functional.scaled_dot_product_attention(q, k, v, **options)
    rows = max(1, q.shape[-2] * most_scores // scores)
    mask: Any = options.get("attn_mask")
    has_rows = mask is not None and mask.shape[-2] > 1
    parts = [
        functional.scaled_dot_product_attention(
            q[..., start : start + rows, :],
            k,
            v,
            **options | {"attn_mask": mask[..., start : start + rows, :] if has_rows else mask},
        )
        for start in range(0, q.shape[-2], rows)
    ]
    return torch.cat(parts, dim=-2)


class _Mode(TorchFunctionMode):
    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self._attention = attention

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
        return self._told(*args, **kwargs)

    def _told(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        *others: Any,
        **more: Any,
    ) -> Tensor:
        more |= dict(zip(("dropout_p", "is_causal"), others, strict=False))
        return self._attention.attend(query, key, value, attn_mask=attn_mask, **more)
