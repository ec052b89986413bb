"""Attention as the UNet's training on CPUs does it: the same numbers as diffusers', sooner."""

from __future__ import annotations

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor
from torch.nn import functional as F


class CpuAttention:
    """A diffusers attention processor.

    In bfloat16 the fused kernel's backward pass is slow on CPUs: it takes twice the time of
    float32 for many keys, and thrice that of plain matrix products for few.
    """

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,  # b n c
        encoder_hidden_states: Tensor | None = None,  # b m c
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Attend to the context, or to the states themselves without one."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        batch, count, _ = hidden_states.shape

        def split(states: Tensor) -> Tensor:  # b n (heads d) -> b heads n d
            return states.view(batch, states.shape[1], attention.heads, -1).transpose(1, 2)

        query = split(attention.to_q(hidden_states))
        key, value = split(attention.to_k(context)), split(attention.to_v(context))
        if encoder_hidden_states is None:
            with torch.autocast("cpu", enabled=False):
                mixed = F.scaled_dot_product_attention(query.float(), key.float(), value.float())
        else:
            weights = (query @ key.transpose(-1, -2) * attention.scale).softmax(dim=-1)
            mixed = weights @ value
        merged = mixed.transpose(1, 2).reshape(batch, count, -1)
        output: Tensor = attention.to_out[0](merged)
        return output
