"""A model that predicts the frames of a film in windows, and mixes where these overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.protocol.calculate import Cond, level_of, mark_level
from models.protocol.control import ControlBase
from models.protocol.extension import WrappersMP
from models.protocol.patcher import ModelPatcher
from models.sampling.frame_windows import WEIGHTS, FrameWindows, shuffled_noise

P = TypeVar("P", bound=ModelPatcher)

_KEY = "frame_windows"


@dataclass(frozen=True, kw_only=True)
class Windowed:
    """Which axis of a latent has the frames, how they are dealt out, and how results are mixed."""

    windows: FrameWindows
    dim: int  # of the latent; 0: the batch
    weights: str  # a name in WEIGHTS

    def predict(
        self,
        executor: Any,
        model: Any,
        conds: Sequence[Sequence[Cond] | None],
        x: Tensor,
        timestep: Tensor,
        options: dict[str, Any],
    ) -> list[Tensor]:
        """`calc_cond_batch`, window by window; x [B, C, ...]."""
        frames = x.shape[self.dim] if self.dim < x.ndim else 0
        if frames <= self.windows.length:
            whole: list[Tensor] = executor(model, conds, x, timestep, options)
            return whole
        sums = [torch.zeros_like(x) for _ in conds]
        total = torch.zeros(frames, device=x.device)
        for window in self.windows.at(frames, _step(options, level_of(timestep))):
            part = _Part(self.dim, frames, torch.tensor(window, device=x.device))
            weight = WEIGHTS[self.weights](window, frames, self.windows.overlap).to(x)
            transformer = options.get("transformer_options", {}) | {_KEY: window}
            found = executor(
                model,
                [None if side is None else [part.cond(c, x) for c in side] for side in conds],
                x.index_select(self.dim, part.index),
                part.levels(timestep),
                {**options, "transformer_options": transformer},
            )
            shaped = weight.reshape(-1, *[1] * (x.ndim - 1 - self.dim))
            for result, predicted in zip(sums, found, strict=True):
                result.index_add_(self.dim, part.index, predicted * shaped)
            total.index_add_(0, part.index, weight)
        return [result / total.reshape(-1, *[1] * (x.ndim - 1 - self.dim)) for result in sums]

    def share_noise(
        self,
        executor: Any,
        guider: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        *more: Any,
        **named: Any,
    ) -> Tensor:
        """A run with noise that windows have in common."""
        if self.dim < noise.ndim and noise.shape[self.dim] > self.windows.length:
            seed = int(extra_args.get("seed") or 0)
            noise = shuffled_noise(noise, self.dim, self.windows, seed)
        samples: Tensor = executor(guider, sigmas, extra_args, callback, noise, *more, **named)
        return samples


@dataclass(frozen=True)
class _Part:
    """What belongs to the frames of a window."""

    dim: int
    frames: int
    index: Tensor
    controls: dict[int, Any] = field(default_factory=dict)  # made for sides that share one

    def levels(self, timestep: Tensor) -> Tensor:
        """The noise levels [B] of the window's latents."""
        if self.dim != 0:
            return timestep
        return mark_level(timestep.index_select(0, self.index), level_of(timestep))

    def cond(self, cond: Cond, x: Tensor) -> Cond:
        """A conditioning of these frames; what says nothing of single frames stays."""
        area = cond.get("area")
        if area is not None and len(area) // 2 >= x.ndim - self.dim:
            raise InvalidInput("areas that begin or end in time cannot be sampled in windows")
        made = dict(cond)
        made["model_conds"] = {
            name: value._copy_with(self._taken(value.cond, x))
            for name, value in cond["model_conds"].items()
        }
        if cond.get("mask") is not None:
            made["mask"] = self._taken(cond["mask"], x)
        if cond.get("control") is not None:
            control = cond["control"]
            if id(control) not in self.controls:
                self.controls[id(control)] = self._controlled(control, x)
            made["control"] = self.controls[id(control)]
        return made

    def _taken(self, value: Any, x: Tensor) -> Any:
        if isinstance(value, list):
            return [self._taken(one, x) for one in value]
        # Only of tensors like the latent is it known which axis has the frames.
        is_alike = isinstance(value, Tensor) and (self.dim == 0 or value.ndim == x.ndim)
        if not is_alike or value.shape[self.dim] != self.frames:
            return value
        return value.index_select(self.dim, self.index.to(value.device))

    def _controlled(self, control: Any, x: Tensor) -> Any:
        """A control whose hints are those of the frames."""
        if self.dim != 0 or not isinstance(control, ControlBase):
            return control
        before = control.previous_controlnet
        earlier = None if before is None else self._controlled(before, x)
        hint = control.cond_hint_original
        if hint is None or len(hint) != self.frames:
            if earlier is before:
                return control
            return control.copy().set_previous_controlnet(earlier)
        made = control.copy().set_previous_controlnet(earlier)
        made.cond_hint_original, made.cond_hint = self._taken(hint, x), None
        return made


def _step(options: dict[str, Any], sigma: float) -> int:
    """Which step of the run has a noise level."""
    sigmas = options.get("transformer_options", {}).get("sample_sigmas")
    return 0 if sigmas is None else int((sigmas - sigma).abs().argmin())


def in_windows(model: P, windowed: Windowed, *, shares_noise: bool) -> P:
    """A clone that predicts in windows, of noise that these have in common if asked for."""
    made = model.clone()
    for kind in (WrappersMP.CALC_COND_BATCH, WrappersMP.SAMPLER_SAMPLE):
        made.remove_wrappers_with_key(kind, _KEY)
    made.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, _KEY, windowed.predict)
    if shares_noise:
        made.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, _KEY, windowed.share_noise)
    return made
