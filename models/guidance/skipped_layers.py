"""Guidance away from what a transformer predicts when some of its blocks are skipped.

Spatiotemporal skip guidance: Hyung et al. 2024, https://arxiv.org/abs/2411.18664; with Stable
Diffusion 3.5 its authors published it for pictures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from models.guidance.attached import P, Predictions, after_guidance
from models.guidance.rescaled import per_item
from models.protocol.calculate import calc_cond_batch, level_of
from models.protocol.options import Options, clone_options, set_patch_replace

Told = Mapping[str, Any]


def numbers(text: str) -> tuple[int, ...]:
    """The whole numbers that stand in a text, such as "7, 8, 9"."""
    return tuple(int(found) for found in re.findall(r"\d+", text))


@dataclass(frozen=True, kw_only=True)
class SkippedLayers:
    """Blocks by number, and the range of noise levels in which they are skipped."""

    double: Sequence[int] = ()  # of those with a stream for the prompt of its own
    single: Sequence[int] = ()
    start_sigma: float
    end_sigma: float

    def is_active(self, sigma: float) -> bool:
        """Whether a noise level is in the range."""
        return bool(self.double or self.single) and self.end_sigma <= sigma <= self.start_sigma

    def in_options(self, options: Options) -> Options:
        """Options of a model in which the blocks return what they get."""
        made = clone_options(options)
        for kind, blocks in (("double_block", self.double), ("single_block", self.single)):
            for block in blocks:
                made = set_patch_replace(made, _as_it_is, "dit", kind, block)
        return made


def _as_it_is(args: Told, more: Told) -> Told:
    return args


def guided_away(model: P, skipped: SkippedLayers, *, scale: float, rescaling: float = 0.0) -> P:
    """A clone with ``scale (positive - skipped)`` added to the guided prediction.

    To the part `rescaling` the result gets the standard deviation of the positive prediction.
    """

    def change(guided: Tensor, p: Predictions) -> Tensor:
        if scale == 0 or not skipped.is_active(level_of(p.sigma)):
            return guided
        worse = p.again(0, skipped.in_options(p.options))
        result = guided + scale * (p.positive - worse)
        if rescaling == 0:
            return result
        axes = per_item(result)
        ratio = p.positive.std(axes, keepdim=True) / result.std(axes, keepdim=True)
        return result * (rescaling * ratio + (1 - rescaling))

    return after_guidance(model, change)


def with_worse_negative(model: P, skipped: SkippedLayers) -> P:
    """A clone whose negative side is predicted with blocks skipped."""

    def predict(args: dict[str, Any]) -> list[Tensor]:
        base, x, sigma, options = (args[k] for k in ("model", "input", "sigma", "model_options"))
        conds = args["conds"]
        if len(conds) < 2 or conds[1] is None or not skipped.is_active(level_of(sigma)):
            return calc_cond_batch(base, conds, x, sigma, options)
        weakened = skipped.in_options(options)
        [negative] = calc_cond_batch(base, [conds[1]], x, sigma, weakened)
        others = calc_cond_batch(base, [conds[0], *conds[2:]], x, sigma, options)
        return [others[0], negative, *others[1:]]

    made = model.clone()
    made.set_model_sampler_calc_cond_batch_function(predict)
    return made
