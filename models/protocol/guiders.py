"""Guiders beyond classifier-free guidance between two prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.guidance.dual import dual_cfg, nested_cfg
from models.guidance.projected import perpendicular_negative
from models.protocol.calculate import after_guidance, calc_cond_batch, facts
from models.protocol.guider import CFGGuider
from models.protocol.options import Options
from models.protocol.replaced import current

Prompt = Sequence[Any]  # a CONDITIONING


def _is_one(scale: float, options: Options) -> bool:
    """Whether a scale leaves out what it guides away from."""
    return math.isclose(scale, 1.0) and not options.get("disable_cfg1_optimization")


class BasicGuider(CFGGuider):
    """One prompt without guidance."""

    def set_conds(self, positive: Prompt) -> None:  # type: ignore[override]
        """What to predict for."""
        self.inner_set_conds({"positive": positive})


class DualCFGGuider(CFGGuider):
    """Two prompts beside the negative one, each with its scale."""

    cfg1: float
    cfg2: float
    nested: bool

    def set_conds(self, positive: Prompt, middle: Prompt, negative: Prompt) -> None:  # type: ignore[override]
        """The first prompt, the second one, and what to guide away from."""
        self.inner_set_conds({"positive": positive, "middle": middle, "negative": negative})

    def set_cfg(self, cfg1: float, cfg2: float, nested: bool = False) -> None:  # type: ignore[override]
        """cfg1 from the second to the first prompt, cfg2 from the negative to the second."""
        self.cfg1, self.cfg2, self.nested = cfg1, cfg2, nested

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: Options | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """The guided prediction of the clean latent."""
        options = model_options if model_options is not None else {}
        positive, middle = self.conds.get("positive"), self.conds.get("middle")
        negative = self.conds.get("negative")
        needed = [None if _is_one(self.cfg2, options) else negative, middle, positive]
        calculate = current("comfy.samplers.calc_cond_batch", calc_cond_batch)
        away, between, towards = calculate(self.inner_model, needed, x, timestep, options)
        if needed[0] is None:
            away = between  # which a scale of 1 leaves out
        combine = nested_cfg if self.nested else dual_cfg
        guided = combine(towards, between, away, cfg=self.cfg1, cfg_middle=self.cfg2)
        told = facts(self.inner_model, options, x, timestep, self.cfg1, towards, away)
        told |= {"cond": positive, "uncond": negative}
        return after_guidance(
            guided, told | {"middle_cond": middle, "middle_cond_denoised": between}
        )


class FilmAndSoundGuider(CFGGuider):
    """Guidance with a scale for a film and one for its sound.

    For latents that hold both in one row [B, 1, N], the film first; `latent_shapes` says of which
    shapes they are. A latent of one part has the film's scale.
    """

    audio_cfg = 1.0
    _shapes: Sequence[Sequence[int]] = ()

    def set_cfg(self, cfg: float, audio_cfg: float = 1.0) -> None:
        """How strongly to guide the film, and its sound."""
        self.cfg, self.audio_cfg = cfg, audio_cfg

    def inner_sample(self, *args: Any, **kwargs: Any) -> Tensor:
        """A run whose latent has parts of the shapes `latent_shapes`."""
        self._shapes = kwargs.get("latent_shapes") or ()
        return super().inner_sample(*args, **kwargs)

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: Options | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """The guided prediction of the clean latent."""
        options = dict(model_options or {})
        if len(self._shapes) > 1 and self.cfg != self.audio_cfg:
            film = math.prod(self._shapes[0][1:])
            scale = torch.full_like(x, self.audio_cfg)
            scale[..., :film] = self.cfg
            options.setdefault(
                "sampler_cfg_function",
                lambda told: torch.lerp(told["uncond"], told["cond"], scale),
            )
            options["disable_cfg1_optimization"] = True
        return super().predict_noise(x, timestep, options, seed)


class PerpNegGuider(CFGGuider):
    """Guidance by what of the negative prompt is new to the positive one."""

    neg_scale = 1.0

    def set_conds(self, positive: Prompt, negative: Prompt, empty_negative_prompt: Prompt) -> None:  # type: ignore[override]
        """What to guide by, and a prompt that says nothing."""
        self.inner_set_conds(
            {
                "positive": positive,
                "negative": negative,
                "empty_negative_prompt": empty_negative_prompt,
            }
        )

    def set_cfg(self, cfg: float, neg_scale: float) -> None:  # type: ignore[override]
        """How strongly to guide, and how much of that away from the negative prompt."""
        self.cfg, self.neg_scale = cfg, neg_scale

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: Options | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """The guided prediction of the clean latent."""
        options = model_options if model_options is not None else {}
        conds = [self.conds.get(n) for n in ("positive", "negative", "empty_negative_prompt")]
        calculate = current("comfy.samplers.calc_cond_batch", calc_cond_batch)
        positive, negative, empty = calculate(self.inner_model, conds, x, timestep, options)
        guided = perpendicular_negative(
            positive, negative, empty, cfg=self.cfg, neg_scale=self.neg_scale
        )
        told = facts(self.inner_model, options, x, timestep, self.cfg, positive, negative)
        told |= {"cond": conds[0], "uncond": conds[1]}
        return after_guidance(guided, told | {"empty_cond": conds[2], "empty_cond_denoised": empty})
