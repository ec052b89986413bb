"""Puts a rule of guidance into a model's options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from models.protocol.calculate import calc_cond_batch
from models.protocol.options import Options
from models.protocol.patcher import ModelPatcher
from models.protocol.process import convert_cond, process_conds
from models.sampling.prediction import broadcast

P = TypeVar("P", bound=ModelPatcher)


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What a rule of guidance is told at a step; all tensors have the shape of x, [B, C, ...]."""

    x: Tensor  # the noisy latent, in model space
    sigma: Tensor  # [B, 1, ...]
    positive: Tensor  # predictions of the clean latent
    negative: Tensor
    cfg: float  # the guidance scale
    model: Any  # a BaseModel
    options: Options  # its `model_options`
    sides: tuple[Any, Any]  # the positive and negative conditionings, as process_conds makes them

    def again(self, side: int, options: Options) -> Tensor:
        """The prediction of one side (0: positive) with other options of the model."""
        return self._predict(self.sides[side], self.x, options)

    def of_latent(self, side: int, x: Tensor) -> Tensor:
        """The prediction of one side for another latent at the same noise level."""
        return self._predict(self.sides[side], x, self.options)

    def of(self, conditioning: Sequence[Sequence[Any]]) -> Tensor:
        """The prediction for a further CONDITIONING."""
        placed = process_conds(
            self.model, self.x, {"other": convert_cond(conditioning)}, self.x.device
        )
        return self._predict(placed["other"], self.x, self.options)

    def _predict(self, entries: Any, x: Tensor, options: Options) -> Tensor:
        [denoised] = calc_cond_batch(self.model, [entries], x, self.sigma.flatten(), options)
        return denoised


Rule = Callable[[Predictions], Tensor]


def guided_by(model: P, rule: Rule) -> P:
    """A clone that is guided by a rule: from both predictions to the guided one."""

    def guide(args: dict[str, Any]) -> Tensor:
        x: Tensor = args["input"]
        return x - rule(_predictions(args))

    patched = model.clone()
    patched.set_model_sampler_cfg_function(guide)
    return patched


def after_guidance(
    model: P, change: Callable[[Tensor, Predictions], Tensor], *, needs_negative: bool = False
) -> P:
    """A clone with a change of the guided prediction.

    With `needs_negative` the negative side is predicted although the scale is 1.
    """

    def changed(args: dict[str, Any]) -> Tensor:
        return change(args["denoised"], _predictions(args))

    patched = model.clone()
    patched.set_model_sampler_post_cfg_function(changed, disable_cfg1_optimization=needs_negative)
    return patched


def before_guidance(
    model: P, change: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
) -> P:
    """A clone with a change (x, positive, negative) of the two predictions before guidance.

    Where only one side is predicted, nothing is changed.
    """

    def changed(args: dict[str, Any]) -> list[Tensor]:
        out: list[Tensor] = args["conds_out"]
        if len(out) < 2 or None in args["conds"][:2]:
            return out
        return [*change(args["input"], out[0], out[1]), *out[2:]]

    patched = model.clone()
    patched.set_model_sampler_pre_cfg_function(changed)
    return patched


def _predictions(args: dict[str, Any]) -> Predictions:
    x: Tensor = args["input"]
    return Predictions(
        x=x,
        sigma=broadcast(args["sigma"], x),
        positive=args["cond_denoised"],
        negative=args["uncond_denoised"],
        cfg=args["cond_scale"],
        model=args["model"],
        options=args["model_options"],
        sides=(args.get("cond"), args.get("uncond")),
    )


def ramp(x: Tensor, values: Tensor) -> Tensor:
    """Values [B], one for each item, so that they multiply x [B, ...]."""
    return values.to(x).reshape(-1, *[1] * (x.ndim - 1))


def per_frame(p: Predictions, course: Callable[[int], Tensor], lowest: float) -> Tensor:
    """Guidance whose scale follows a course in 0..1 over the batch, from `lowest` to cfg."""
    scales = course(p.x.shape[0]) * (p.cfg - lowest) + lowest
    return torch.lerp(p.negative, p.positive, ramp(p.x, scales))
