"""Attention by torch, and the layers of the original UNet for packs that build their own.

The layers are the real ones of latent diffusion. Darkroom's own models do not contain them (they
are diffusers'), so replacing a class's `forward` here changes nothing in a run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from comfy import ops as comfy_ops
from comfy.not_yet import absent
from torch import Tensor, nn
from torch.nn import functional

from models.protocol.attention import INSIDE_OVERRIDE

REGISTERED_ATTENTION_FUNCTIONS: dict[str, Callable[..., Tensor]] = {}


def default(val: Any, d: Any) -> Any:
    """val, or d where it is None (called, if it is a function)."""
    if val is not None:
        return val
    return d() if callable(d) else d


def exists(val: Any) -> bool:
    """Whether val is not None."""
    return val is not None


def uniq(arr: list[Any]) -> list[Any]:
    """The different items, in order."""
    return list(dict.fromkeys(arr))


def wrap_attn(func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Have `optimized_attention_override` of the transformer options called instead.

    The override is not asked again for attention that it calls itself.
    """

    @wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Tensor:
        options = kwargs.get("transformer_options") or {}
        override = options.get("optimized_attention_override")
        if override is None or INSIDE_OVERRIDE in kwargs:
            return func(*args, **kwargs)
        result: Tensor = override(func, *args, **kwargs, **{INSIDE_OVERRIDE: True})
        return result

    return wrapped


@wrap_attn
def attention_pytorch(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    mask: Tensor | None = None,
    attn_precision: torch.dtype | None = None,
    skip_reshape: bool = False,
    skip_output_reshape: bool = False,
    **kwargs: Any,
) -> Tensor:
    """Attention of q, k, v [B, T, heads D] ([B, heads, T, D] with skip_reshape)."""
    if not skip_reshape:
        q, k, v = (t.reshape(*t.shape[:2], heads, -1).transpose(1, 2) for t in (q, k, v))
    if mask is not None:
        if mask.ndim == 2:
            mask = mask[None]
        if mask.ndim == 3:
            mask = mask[:, None]
    output = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return output if skip_output_reshape else output.transpose(1, 2).flatten(2)


# One implementation serves all: torch chooses among flash, memory-efficient and plain kernels.
optimized_attention = attention_pytorch
optimized_attention_masked = attention_pytorch
attention_basic = attention_split = attention_sub_quad = attention_pytorch
REGISTERED_ATTENTION_FUNCTIONS["pytorch"] = attention_pytorch


def optimized_attention_for_device(
    device: Any, mask: bool = False, small_input: bool = False
) -> Callable[..., Tensor]:
    """The attention for a device."""
    return attention_pytorch


def register_attention_function(name: str, func: Callable[..., Tensor]) -> None:
    """Offer an attention under a name."""
    REGISTERED_ATTENTION_FUNCTIONS.setdefault(name, func)


def get_attention_function(name: str, default: Any = ...) -> Any:
    """The attention of a name; KeyError without a default."""
    if name == "optimized":
        return optimized_attention
    if name in REGISTERED_ATTENTION_FUNCTIONS:
        return REGISTERED_ATTENTION_FUNCTIONS[name]
    if default is ...:
        raise KeyError(f"there is no attention function '{name}'")
    return default


def Normalize(
    in_channels: int, dtype: torch.dtype | None = None, device: Any = None
) -> nn.GroupNorm:
    """The group norm before a transformer."""
    return nn.GroupNorm(32, in_channels, eps=1e-6, affine=True, dtype=dtype, device=device)


class GEGLU(nn.Module):
    """A gated linear unit with GELU (Shazeer 2020)."""

    def __init__(
        self,
        dim_in: int,
        dim_out: int,
        dtype: torch.dtype | None = None,
        device: Any = None,
        operations: Any = comfy_ops.disable_weight_init,
    ) -> None:
        super().__init__()
        self.proj = operations.Linear(dim_in, dim_out * 2, dtype=dtype, device=device)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * functional.gelu(gate)


class FeedForward(nn.Module):
    """Two layers with an activation between."""

    def __init__(
        self,
        dim: int,
        dim_out: int | None = None,
        mult: int = 4,
        glu: bool = False,
        dropout: float = 0.0,
        dtype: torch.dtype | None = None,
        device: Any = None,
        operations: Any = comfy_ops.disable_weight_init,
    ) -> None:
        super().__init__()
        inner = int(dim * mult)
        if glu:
            first: nn.Module = GEGLU(dim, inner, dtype, device, operations)
        else:
            first = nn.Sequential(
                operations.Linear(dim, inner, dtype=dtype, device=device), nn.GELU()
            )
        last = operations.Linear(inner, dim_out or dim, dtype=dtype, device=device)
        self.net = nn.Sequential(first, nn.Dropout(dropout), last)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.net(x)
        return result


class CrossAttention(nn.Module):
    """Attention of x to a context; to itself without one."""

    def __init__(
        self,
        query_dim: int,
        context_dim: int | None = None,
        heads: int = 8,
        dim_head: int = 64,
        dropout: float = 0.0,
        attn_precision: torch.dtype | None = None,
        dtype: torch.dtype | None = None,
        device: Any = None,
        operations: Any = comfy_ops.disable_weight_init,
    ) -> None:
        super().__init__()
        inner = dim_head * heads
        context_dim = context_dim or query_dim
        self.heads, self.dim_head, self.attn_precision = heads, dim_head, attn_precision
        kind = {"dtype": dtype, "device": device}
        self.to_q = operations.Linear(query_dim, inner, bias=False, **kind)
        self.to_k = operations.Linear(context_dim, inner, bias=False, **kind)
        self.to_v = operations.Linear(context_dim, inner, bias=False, **kind)
        self.to_out = nn.Sequential(
            operations.Linear(inner, query_dim, **kind), nn.Dropout(dropout)
        )

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        value: Tensor | None = None,
        mask: Tensor | None = None,
        transformer_options: dict[str, Any] | None = None,
    ) -> Tensor:
        context = x if context is None else context
        v = self.to_v(context if value is None else value)
        found = optimized_attention(self.to_q(x), self.to_k(context), v, self.heads, mask=mask)
        result: Tensor = self.to_out(found)
        return result


class BasicTransformerBlock(nn.Module):
    """Self-attention, cross-attention and a feed-forward layer, each on a norm."""

    def __init__(
        self,
        dim: int,
        n_heads: int,
        d_head: int,
        dropout: float = 0.0,
        context_dim: int | None = None,
        gated_ff: bool = True,
        checkpoint: bool = True,
        dtype: torch.dtype | None = None,
        device: Any = None,
        operations: Any = comfy_ops.disable_weight_init,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        kind: dict[str, Any] = {"dtype": dtype, "device": device}
        more: dict[str, Any] = {**kind, "operations": operations}
        self.attn1 = CrossAttention(dim, None, n_heads, d_head, dropout, **more)
        self.attn2 = CrossAttention(dim, context_dim, n_heads, d_head, dropout, **more)
        self.ff = FeedForward(dim, dropout=dropout, glu=gated_ff, **more)
        self.norm1, self.norm2, self.norm3 = (operations.LayerNorm(dim, **kind) for _ in range(3))
        self.n_heads, self.d_head = n_heads, d_head

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        transformer_options: dict[str, Any] | None = None,
    ) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        result: Tensor = x + self.ff(self.norm3(x))
        return result


class SpatialTransformer(nn.Module):
    """Transformer blocks over the pixels of a picture."""

    def __init__(
        self,
        in_channels: int,
        n_heads: int,
        d_head: int,
        depth: int = 1,
        dropout: float = 0.0,
        context_dim: int | list[int] | None = None,
        use_linear: bool = True,
        dtype: torch.dtype | None = None,
        device: Any = None,
        operations: Any = comfy_ops.disable_weight_init,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        inner = n_heads * d_head
        contexts = context_dim if isinstance(context_dim, list) else [context_dim] * depth
        kind = {"dtype": dtype, "device": device}
        self.in_channels, self.use_linear = in_channels, use_linear
        self.norm = operations.GroupNorm(32, in_channels, eps=1e-6, affine=True, **kind)
        if use_linear:
            self.proj_in = operations.Linear(in_channels, inner, **kind)
            self.proj_out = operations.Linear(inner, in_channels, **kind)
        else:
            self.proj_in = operations.Conv2d(in_channels, inner, 1, **kind)
            self.proj_out = operations.Conv2d(inner, in_channels, 1, **kind)
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(
                inner, n_heads, d_head, dropout, width, dtype=dtype, device=device,
                operations=operations,
            )
            for width in contexts
        )  # fmt: skip

    def forward(
        self,
        x: Tensor,
        context: Any = None,
        transformer_options: dict[str, Any] | None = None,
    ) -> Tensor:
        contexts = context if isinstance(context, list) else [context]
        height, width = x.shape[-2:]
        hidden = self.norm(x)
        if not self.use_linear:
            hidden = self.proj_in(hidden)
        hidden = hidden.flatten(2).transpose(1, 2)
        if self.use_linear:
            hidden = self.proj_in(hidden)
        for index, block in enumerate(self.transformer_blocks):
            hidden = block(hidden, contexts[min(index, len(contexts) - 1)], transformer_options)
        if self.use_linear:
            hidden = self.proj_out(hidden)
        hidden = hidden.transpose(1, 2).unflatten(2, (height, width))
        if not self.use_linear:
            hidden = self.proj_out(hidden)
        result: Tensor = hidden + x
        return result


__getattr__ = absent(
    __name__,
    layers="SpatialVideoTransformer",
    functions="attention_xformers attention_sage attention_flash attention3_sage",
)
