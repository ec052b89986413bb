"""Style models: from what an image encoder says of a picture to tokens of a prompt.

T2I-Adapter's style model (Mou et al. 2023) and Flux Redux.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.conditioning import Conditioning, check_widths
from models.errors import InvalidInput, PartMissing
from models.weights import Weights, open_weights

_HEADS = 8


class StyleModel(Protocol):
    """What flows through STYLE_MODEL sockets."""

    def get_cond(self, input: Mapping[str, Any]) -> Tensor:
        """Tokens [B, T, D] of what an image encoder says of B pictures."""


class StyleAdapter:
    """Tokens that attend to those of the image encoder's last layer."""

    def __init__(self, weights: Weights) -> None:
        self._tensors = {name: tensor.float() for name, tensor in weights.tensors.items()}
        self._layers = weights.count("transformer_layes.{}.")  # the name in the files
        self._tokens = weights.shape("style_embedding")[1]

    def get_cond(self, input: Mapping[str, Any]) -> Tensor:
        """[B, tokens, width of the prompt]."""
        width = self._tensors["style_embedding"].shape[-1]
        seen = _features(input, width)
        style = self._tensors["style_embedding"].expand(len(seen), -1, -1)
        with torch.no_grad():
            x = self._norm("ln_pre", torch.cat([seen, style], dim=1))
            for index in range(self._layers):
                x = self._layer(f"transformer_layes.{index}", x)
            x = self._norm("ln_post", x[:, -self._tokens :])
            return x @ self._tensors["proj"]

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight = self._tensors[f"{name}.weight"]
        return functional.layer_norm(x, weight.shape, weight, self._tensors[f"{name}.bias"])

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def _layer(self, name: str, x: Tensor) -> Tensor:
        """A residual attention block of CLIP."""
        t, seen = self._tensors, self._norm(f"{name}.ln_1", x)
        joined = functional.linear(
            seen, t[f"{name}.attn.in_proj_weight"], t[f"{name}.attn.in_proj_bias"]
        )
        # b t (3 h d) -> 3 tensors b h t d
        q, k, v = joined.reshape(*x.shape[:2], 3, _HEADS, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        x = x + self._linear(f"{name}.attn.out_proj", attended)
        hidden = self._linear(f"{name}.mlp.c_fc", self._norm(f"{name}.ln_2", x))
        hidden = hidden * torch.sigmoid(1.702 * hidden)
        return x + self._linear(f"{name}.mlp.c_proj", hidden)


class Redux:
    """Two layers from the image encoder's width to that of Flux's prompt."""

    def __init__(self, weights: Weights) -> None:
        self._up, self._down = (self._layer(weights, name) for name in ("redux_up", "redux_down"))
        self._width = weights.shape("redux_up.weight")[1]

    @staticmethod
    def _layer(weights: Weights, name: str) -> nn.Module:
        after, before = weights.shape(f"{name}.weight")
        with torch.device("meta"):
            layer = nn.Linear(before, after)
        tensors = {kind: weights.tensors[f"{name}.{kind}"].float() for kind in ("weight", "bias")}
        layer.load_state_dict(tensors, assign=True)
        return layer.requires_grad_(False)

    def get_cond(self, input: Mapping[str, Any]) -> Tensor:
        """[B, T, width of the prompt]."""
        hidden = functional.silu(self._up(_features(input, self._width)))
        tokens: Tensor = self._down(hidden)
        return tokens


def _features(said: Mapping[str, Any], width: int) -> Tensor:
    """What an image encoder's last layer says [B, T, width]. Raises InvalidInput for another."""
    seen: Tensor = said["last_hidden_state"]
    if seen.shape[-1] != width:
        raise InvalidInput(
            f"the style model takes what image encoders of width {width} say, and this one has "
            f"{seen.shape[-1]}: load the one that it was trained with (SigLIP for Flux Redux)"
        )
    return seen.float()


def load_style_model(path: Path) -> StyleModel:
    """The style model of a file. Raises ModelFileError."""
    weights = open_weights(path)
    if "style_embedding" in weights.tensors:
        return StyleAdapter(weights)
    if "redux_down.weight" in weights.tensors:
        return Redux(weights)
    raise PartMissing(path, "style model")


def with_style(
    conditioning: Sequence[Sequence[Any]],
    tokens: Tensor,
    strength: float,
    kind: Literal["multiply", "attn_bias"],
) -> Conditioning:
    """Every entry with tokens [B, T, D] of pictures after its own; pictures follow one another.

    The strength is multiplied with the tokens, or with the attention that they get: the logarithm
    of it is then the option `attention_bias` [1, all tokens], which models may read. Raises
    InvalidInput for prompts that were encoded for models of another family.
    """
    style = tokens.flatten(0, 1).unsqueeze(0)
    if kind == "multiply":
        style = style * strength
    styled: Conditioning = []
    for context, known in conditioning:
        check_widths(context, style)
        more = style.to(context).expand(len(context), -1, -1)
        options = dict(known)
        before = options.get("attention_bias")
        if kind == "attn_bias" and strength != 1.0:
            bias = math.log(strength) if strength > 0 else -math.inf
            own = context.new_zeros(1, context.shape[1]) if before is None else before
            options["attention_bias"] = torch.cat([own, own.new_full((1, style.shape[1]), bias)], 1)
        styled.append([torch.cat([context, more], dim=1), options])
    return styled
