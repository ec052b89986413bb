"""EasyCache: leaves evaluations out whose result hardly differs from the one before.

Zhou et al. 2025, https://arxiv.org/abs/2507.02860, sections 3.2 and 3.3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from models.protocol.extension import CallbacksMP, WrappersMP
from models.protocol.patcher import ModelPatcher

logger = logging.getLogger(__name__)

P = TypeVar("P", bound=ModelPatcher)


def _size(x: Tensor) -> float:
    return float(x.abs().mean())


@dataclass
class Course:
    """Inputs x_t and outputs v_t of a function along one run, evaluated or estimated.

    From an evaluation on the output is estimated as ``x_t + (v_i - x_i)``. How far that is off is
    the sum of ``K |x_n - x_{n-1}| / |v_{n-1}|`` over the steps since, with the rate
    ``K = |v_i - v_{i-1}| / |x_i - x_{i-1}|`` at which the output followed the input there.
    """

    threshold: float  # the sum from which on the function is evaluated again
    evaluated: int = 0
    estimated: int = 0
    _x: Tensor | None = None  # at the step before
    _v: Tensor | None = None
    _offset: Tensor | None = None  # v_i - x_i
    _rate: float | None = None  # K
    _error: float = 0.0

    def estimate(self, x: Tensor, *, allowed: bool) -> Tensor | None:
        """The output for x [B, C, ...], or None: then evaluate, and call `note`."""
        if self._x is None or self._v is None or self._x.shape != x.shape or self._rate is None:
            return None
        self._error += self._rate * _size(x - self._x) / max(_size(self._v), 1e-12)
        if not allowed or self._error >= self.threshold or self._offset is None:
            return None
        v: Tensor = x[:, : self._v.shape[1]] + self._offset
        self._x, self._v = x, v
        self.estimated += 1
        return v

    def note(self, x: Tensor, v: Tensor) -> None:
        """Remember an evaluation. Networks may see more channels than they give."""
        self.evaluated += 1
        if self._x is not None and self._v is not None and self._x.shape == x.shape:
            change = _size(x - self._x)
            # Two evaluations at one place, as in methods of higher order, tell no rate.
            if change > 0:
                self._rate = _size(v - self._v) / change
        self._x, self._v, self._error = x, v, 0.0
        self._offset = v - x[:, : v.shape[1]]


@dataclass
class OutputReuse:
    """What a clone of a model remembers of the run that it is in."""

    name: str
    threshold: float
    start_sigma: float  # levels from here down to the end are those that may be left out
    end_sigma: float
    verbose: bool
    _courses: dict[Hashable, Course] = field(default_factory=dict)

    def result(self, key: Hashable, x: Tensor, sigma: float, run: Callable[[], Tensor]) -> Tensor:
        """`run()` or an estimate of it. Calls of one key are those of one function."""
        course = self._courses.setdefault(key, Course(self.threshold))
        allowed = self.end_sigma <= sigma <= self.start_sigma
        found = course.estimate(x, allowed=allowed)
        if found is None:
            found = run()
            course.note(x, found)
        return found

    def begin(self, patcher: Any) -> None:
        """A run begins."""
        self._courses = {}

    def end(self, patcher: Any) -> None:
        """A run is over."""
        done = sum(course.evaluated for course in self._courses.values())
        left_out = sum(course.estimated for course in self._courses.values())
        level = logging.INFO if self.verbose else logging.DEBUG
        logger.log(level, "%s: %d evaluations, %d left out", self.name, done, left_out)
        self._courses = {}


def _attached(model: P, reuse: OutputReuse) -> P:
    made = model.clone()
    made.add_callback_with_key(CallbacksMP.ON_PRE_RUN, reuse.name, reuse.begin)
    made.add_callback_with_key(CallbacksMP.ON_CLEANUP, reuse.name, reuse.end)
    return made


def with_network_reuse(model: P, reuse: OutputReuse) -> P:
    """A clone whose network is left out at times, for each prompt by itself."""

    def around(executor: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # x, timesteps, context, y, control, transformer_options
        options = kwargs.get("transformer_options") or (args[4] if len(args) > 4 else {})
        sigmas = options.get("sigmas")
        if sigmas is None:  # not in a run
            called: Tensor = executor(x, *args, **kwargs)
            return called
        window = options.get("frame_windows")
        key = (tuple(options.get("uuids", ())), window, _patches(options))
        level = float(sigmas.flatten()[0])
        return reuse.result(key, x, level, lambda: executor(x, *args, **kwargs))

    made = _attached(model, reuse)
    made.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, reuse.name, around)
    return made


def with_prediction_reuse(model: P, reuse: OutputReuse) -> P:
    """A clone whose guided prediction is left out at times, whatever the model is."""

    def around(
        executor: Any, x: Tensor, timestep: Tensor, options: Any = None, seed: Any = None
    ) -> Tensor:
        level = float(timestep.flatten()[0])
        return reuse.result(None, x, level, lambda: executor(x, timestep, options, seed))

    made = _attached(model, reuse)
    made.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, reuse.name, around)
    return made


def _patches(options: dict[str, Any]) -> Hashable:
    """What distinguishes a call of perturbed attention and the like from the plain one."""
    replaced = options.get("patches_replace", {})
    return frozenset((kind, place, id(f)) for kind, found in replaced.items()
                     for place, f in found.items())  # fmt: skip
