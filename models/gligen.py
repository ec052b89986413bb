"""Words in boxes: what flows through GLIGEN sockets, and what a conditioning carries of it.

GLIGEN, Li et al. 2023, https://arxiv.org/abs/2301.07093.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.families.ldm_gligen import GligenLayers, build_gligen
from models.memory import Policy
from models.network import Network
from models.protocol.network_patcher import NetworkPatcher
from models.sampling.window import Window
from models.weights import open_weights

MOST_BOXES: Final = 30  # that the layers were trained with
_PIXELS: Final = 8  # per latent element along each side


@dataclass(frozen=True, kw_only=True, eq=False)
class Gligen:
    """A reference to loaded layers."""

    network: Network[GligenLayers]
    policy: Policy

    @property
    def patcher(self) -> NetworkPatcher:
        """The patcher of their weights."""
        return NetworkPatcher(self.network, self.policy.device)

    def tokens(self, phrases: Tensor, boxes: Tensor, there: Tensor) -> Tensor:
        """Tokens [B, N, D] of phrases [B, N, P] in boxes [B, N, 4].

        A box is left, top, right, bottom in 0..1. Where `there` [B, N] is 0, the token says that
        there is nothing.
        """
        device, dtype = self.policy.device, self.network.dtype
        with self.policy.using(self.network, device) as layers:
            found: Tensor = layers.position_net(
                boxes.to(device, dtype), there.to(device, dtype), phrases.to(device, dtype)
            )
        return found

    def fused(self, transformer: str, x: Tensor, tokens: Tensor) -> Tensor:
        """x [B, T, C] beside a transformer of the UNet, by its original name, after its attention
        to the tokens. Unchanged where the file has no layer.
        """
        fuser = self.network.module.fuser(transformer)
        if fuser is None:
            return x
        # The UNet may have pushed the layers off its device to make room for itself.
        weights = {name: value.to(x) for name, value in fuser.named_parameters()}
        found: Tensor = torch.func.functional_call(fuser, weights, (x, tokens.to(x)))
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Phrase:
    """Words in a box."""

    words: Tensor  # [P], the pooled output of the text encoder
    left: int  # pixels of the picture
    top: int
    width: int
    height: int

    def box(self, window: Window) -> tuple[float, float, float, float] | None:
        """(left, top, right, bottom) as parts of a window of the latent; None outside of it."""
        (rows, columns), (top, left) = window.sizes[-2:], window.offsets[-2:]
        bounds = (
            (self.left / _PIXELS - left) / columns,
            (self.top / _PIXELS - top) / rows,
            ((self.left + self.width) / _PIXELS - left) / columns,
            ((self.top + self.height) / _PIXELS - top) / rows,
        )
        x0, y0, x1, y1 = (min(max(bound, 0.0), 1.0) for bound in bounds)
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Grounding:
    """What a conditioning says of places: phrases, and the layers that listen to them."""

    model: Gligen
    phrases: tuple[Phrase, ...] = ()

    def with_phrase(self, phrase: Phrase) -> Grounding:
        """These phrases and another one. Raises InvalidInput for one too many or too wide."""
        width = self.model.network.module.config.positive_len
        if phrase.words.shape[-1] != width:
            raise InvalidInput(
                f"this GLIGEN file takes words of {width} numbers, and the text encoder gives "
                f"{phrase.words.shape[-1]}: use the text encoder of the model that it was made for"
            )
        if len(self.phrases) == MOST_BOXES:
            raise InvalidInput(f"GLIGEN takes at most {MOST_BOXES} boxes")
        return replace(self, phrases=(*self.phrases, phrase))

    def inputs(self, window: Window) -> tuple[Tensor, Tensor, Tensor]:
        """What `Gligen.tokens` takes, [N, P], [N, 4] and [N], for a window of the latent."""
        config = self.model.network.module.config
        phrases = torch.zeros(MOST_BOXES, config.positive_len)
        boxes, there = torch.zeros(MOST_BOXES, 4), torch.zeros(MOST_BOXES)
        for index, phrase in enumerate(self.phrases):
            box = phrase.box(window)
            if box is not None:
                phrases[index], boxes[index], there[index] = phrase.words, torch.tensor(box), 1.0
        return phrases, boxes, there


def grounded_at(conditioning: Any, model: Gligen, phrase: Phrase) -> list[list[Any]]:
    """Every entry of a CONDITIONING with another phrase in a box."""
    made = []
    for context, options in conditioning:
        known = options.get("gligen")
        grounding = known if known is not None else Grounding(model=model)
        if not isinstance(grounding, Grounding) or grounding.model is not model:
            raise InvalidInput("a conditioning can only be grounded by one GLIGEN model")
        made.append([context, {**options, "gligen": grounding.with_phrase(phrase)}])
    return made


def load_gligen(path: Path, policy: Policy) -> Gligen:
    """The layers of a file, which is read once. Raises ModelFileError."""

    def build() -> Gligen:
        return Gligen(network=build_gligen(open_weights(path), policy.unet_dtype), policy=policy)

    return policy.library.fetch(("gligen", policy), (path,), build)
