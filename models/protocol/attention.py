"""Attention of a UNet with patches of its inputs, of its output, or of all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor
from torch.nn import functional

# Tells functions wrapped for an override that the override itself calls them; packs pass it on.
INSIDE_OVERRIDE: Final = "_inside_attn_wrapper"


@dataclass(frozen=True)
class AttentionPatches:
    """The patches of a call."""

    patches: dict[str, list[Callable[..., Any]]]
    replaced: dict[str, dict[Any, Callable[..., Any]]]
    options: dict[str, Any]  # what patches are told, the same object through a call


@dataclass(frozen=True)
class PatchedAttention:
    """An attention processor of diffusers for one layer."""

    patches: AttentionPatches
    kind: str  # attn1 or attn2
    block: tuple[str, int]
    index: int  # of the transformer in the block

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """[B, T, C] to [B, T, C]."""
        told = self._told(attn)
        x = hidden_states
        context = x if encoder_hidden_states is None else encoder_hidden_states
        value = context
        for patch in self.patches.patches.get(f"{self.kind}_patch", ()):
            x, context, value = patch(x, context, value, told)
        q, k, v = attn.to_q(x), attn.to_k(context), attn.to_v(value)
        replacement = self._replacement()
        if replacement is None:
            found = self._attend(q, k, v, attn.heads)
        else:
            found = replacement(q, k, v, told)
        output: Tensor = attn.to_out[1](attn.to_out[0](found))
        for patch in self.patches.patches.get(f"{self.kind}_output_patch", ()):
            output = patch(output, told)
        return output

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        override = self.patches.options.get("optimized_attention_override")
        if override is None:
            return attention(q, k, v, heads)
        options = {"transformer_options": self.patches.options, INSIDE_OVERRIDE: True}
        found: Tensor = override(attention, q, k, v, heads, **options)
        return found

    def _told(self, attn: Any) -> dict[str, Any]:
        return self.patches.options | {
            "block": self.block,
            "block_index": self.index,
            "n_heads": attn.heads,
            "dim_head": attn.to_q.out_features // attn.heads,
            "attn_precision": None,
        }

    def _replacement(self) -> Callable[..., Any] | None:
        """That of this very transformer, or of its whole block."""
        table = self.patches.replaced.get(self.kind, {})
        return table.get((*self.block, self.index), table.get(self.block))


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, **options: Any) -> Tensor:
    """Attention of q, k, v [B, T, heads D], within the option `mask` if there is one."""
    q, k, v = (t.reshape(*t.shape[:2], heads, -1).transpose(1, 2) for t in (q, k, v))
    mask = options.get("mask")
    found = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return found.transpose(1, 2).flatten(2)
