"""Stable Audio as packs see it: its transformer, and the inputs of conditionings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network
from models.protocol.base_model import BaseModel
from models.protocol.conds import CONDRegular
from models.protocol.denoiser import Denoiser

TOKENS: Final = 128  # of a prompt: what fewer lack are zeros, more are not heard
_MOST: Final = 512.0  # seconds
_TOTAL: Final = 47.0  # seconds, where a conditioning does not say


class StableAudio(BaseModel):
    """Takes the seconds at which a sound begins and ends besides the prompt."""

    is_plain = False
    stretches_context = False

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """The prompt at its full length, and `seconds` [1, 2] as fractions of the most."""
        text: Tensor | None = kwargs.get("cross_attn")
        if text is not None:
            missing = max(0, TOKENS - text.shape[1])
            kwargs["cross_attn"] = functional.pad(text[:, :TOKENS], (0, 0, 0, missing))
        said = (kwargs.get("seconds_start", 0.0), kwargs.get("seconds_total", _TOTAL))
        seconds = (torch.tensor([said]) / _MOST).clamp(0, 1)
        return super().extra_conds(**kwargs) | {"seconds": CONDRegular(seconds)}


class StableAudioTransformer(Denoiser):
    """The transformer."""

    def __init__(self, network: Network[Any], policy: Policy) -> None:
        super().__init__(network, policy)
        config = network.module.transformer.config
        self.in_channels = int(config.in_channels)
        self.out_channels = int(config.out_channels)
        self.depth = int(config.num_layers)

    def call(
        self,
        module: Any,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        *,
        control: Mapping[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        seconds: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        """[B, C, T] of x [B, C, T], with context [B, 128, D] and seconds [B, 2]."""
        if context is None or seconds is None:
            raise InvalidInput("the transformer was called without a prompt or its seconds")
        width = module.transformer.config.cross_attention_input_dim
        if context.shape[-1] != width:
            raise InvalidInput(
                f"this model takes prompts of {width} features, and was given "
                f"{context.shape[-1]}: encode them with T5-base (the type 'stable_audio')"
            )
        output: Tensor = module(x, timesteps, context, seconds)
        return output

    def unet_config(self) -> dict[str, Any]:
        """The depth, and what it makes."""
        return {"in_channels": self.in_channels, "depth": self.depth, "audio_model": "dit1.0"}
