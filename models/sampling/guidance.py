"""Guidance: turns conditionings and a model into one `denoise(x, sigma)`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import torch
from torch import Tensor

from models.out_of_memory import Pieces, StepLadder, one_after_another, relief_of
from models.sampling.calls import about_to_call
from models.sampling.conditioning import (
    Conditioning,
    Entry,
    repeat_to_batch,
    resolve,
    with_partners,
)
from models.sampling.mask import KnownRegion
from models.sampling.model import DiffusionModel
from models.sampling.schedule import Schedule
from models.sampling.window import Window

_PROMPT_TYPES: Final = ("positive", "negative")  # of the sides
LONGEST_REPEAT = 4  # contexts are not stretched further than this to share a call


@dataclass(frozen=True)
class Member:
    """One entry's part in a call."""

    side: int
    window: Window | None
    weight: Tensor | float  # divided by the sum of weights of its side


@dataclass(frozen=True)
class Call:
    """One evaluation of the model for several entries, which lie along the batch."""

    members: Sequence[Member]
    context: Tensor  # [members * B, T, D]
    extra: Mapping[str, Tensor]
    rows: tuple[int, int] | None = None  # which latents of the batch; None: all

    def size(self) -> int:
        """How many latents go through the model."""
        return self.context.shape[0]

    def _has_rows(self) -> bool:
        """Whether all inputs are there for each latent."""
        return all(tensor.shape[:1] == (self.size(),) for tensor in self.extra.values())

    def cut(self) -> Pieces[Call]:
        """A call for each entry; of a single one, a call for each latent."""
        count = len(self.members)
        is_one = count == 1
        if is_one:
            count = self.size() if self._has_rows() else 1
        contexts = self.context.chunk(count)
        extras = {name: tensor.chunk(count) for name, tensor in self.extra.items()}
        calls = [
            Call(
                self.members if is_one else [self.members[i]],
                contexts[i],
                {name: chunks[i] for name, chunks in extras.items()},
                (i, i + 1) if is_one else None,
            )
            for i in range(count)
        ]
        return Pieces(calls, _one_below_another if is_one else one_after_another)


def _one_below_another(results: Sequence[Sequence[Tensor]]) -> Sequence[Tensor]:
    """Joins pieces that have some latents of the batch each."""
    return [torch.cat([rows for (rows,) in results])]


@dataclass
class _Group:
    window: Window | None
    stretches: bool  # whether contexts of different lengths go together
    members: list[Member] = field(default_factory=list)
    contexts: list[Tensor] = field(default_factory=list)
    extras: list[dict[str, Tensor]] = field(default_factory=list)

    def accepts(self, window: Window | None, context: Tensor, extra: dict[str, Tensor]) -> bool:
        sizes = None if window is None else window.sizes
        if sizes != (None if self.window is None else self.window.sizes):
            return False
        if context.shape[2] != self.contexts[0].shape[2]:
            return False
        first, length = self.contexts[0].shape[1], context.shape[1]
        if first != length and not self.stretches:
            return False
        if math.lcm(first, length) > LONGEST_REPEAT * min(first, length):
            return False
        shapes = {name: tensor.shape for name, tensor in extra.items()}
        return shapes == {name: tensor.shape for name, tensor in self.extras[0].items()}

    def call(self) -> Call:
        length = math.lcm(*(context.shape[1] for context in self.contexts))
        contexts = [c.repeat(1, length // c.shape[1], 1) for c in self.contexts]
        names = self.extras[0]
        extra = {name: torch.cat([extra[name] for extra in self.extras]) for name in names}
        return Call(self.members, torch.cat(contexts), extra)


class Predictor:
    """Predicts the clean latent for several sides (positive, negative) in few model calls.

    Which calls are needed changes only where a timestep range begins or ends, so they are
    prepared once and kept.
    """

    def __init__(self, model: DiffusionModel, sides: Sequence[Conditioning], x: Tensor) -> None:
        resolved = [resolve(side, model.schedule, x) for side in sides]
        self._model = model
        self._sides = [
            with_partners(entries, [e for other in resolved if other is not entries for e in other])
            for entries in resolved
        ]
        self._plans: dict[tuple[tuple[int, ...], ...], list[Call]] = {}
        self._ladder: StepLadder[Call] = StepLadder(Call.cut, Call.size, relief_of(model))

    def predict(self, x: Tensor, sigma: float, sides: Sequence[int]) -> list[Tensor]:
        """Predictions [B, C, ...] of the wanted sides; zero where no entry acts."""
        results: dict[int, Tensor] = {}
        for call in self._calls(x, sigma, sides):
            predictions = self._ladder.evaluate(call, partial(self._evaluate, x=x, sigma=sigma))
            for member, denoised in zip(call.members, predictions, strict=True):
                add_member(results, member, denoised, x)
        return [results[side] if side in results else torch.zeros_like(x) for side in sides]

    def _evaluate(self, call: Call, x: Tensor, sigma: float) -> Sequence[Tensor]:
        about_to_call()
        latents = x if call.rows is None else x[slice(*call.rows)]
        parts = [latents if m.window is None else m.window.crop(latents) for m in call.members]
        batch = torch.cat(parts) if len(parts) > 1 else parts[0]
        sigmas = x.new_full((batch.shape[0],), sigma)
        denoised = self._model.denoised(batch, sigmas, call.context, **call.extra)
        return denoised.chunk(len(parts))

    def _calls(self, x: Tensor, sigma: float, sides: Sequence[int]) -> list[Call]:
        active = [
            [entry for entry in self._sides[side] if entry.is_active(sigma)] for side in sides
        ]
        key = tuple((side, *map(id, entries)) for side, entries in zip(sides, active, strict=True))
        if key not in self._plans:
            self._plans[key] = self._plan(dict(zip(sides, active, strict=True)), x)
        return self._plans[key]

    def _plan(self, active: Mapping[int, Sequence[Entry]], x: Tensor) -> list[Call]:
        groups: list[_Group] = []
        for side, entries in active.items():
            for entry, weight in zip(entries, shares(entries, x), strict=True):
                batch = x.shape[0]
                options = {"prompt_type": _PROMPT_TYPES[side], **entry.options}
                context = repeat_to_batch(entry.context, batch)
                extra = {
                    name: repeat_to_batch(tensor, batch)
                    for name, tensor in self._model.extra_conditioning(options, x).items()
                }
                group = next((g for g in groups if g.accepts(entry.window, context, extra)), None)
                if group is None:
                    group = _Group(entry.window, self._model.stretches_context)
                    groups.append(group)
                group.members.append(Member(side, entry.window, weight))
                group.contexts.append(context)
                group.extras.append(extra)
        return [group.call() for group in groups]


def shares(entries: Sequence[Entry], x: Tensor) -> list[Tensor | float]:
    """Each entry's weight divided by the sum of all, pixel by pixel where they differ."""
    weights = [entry.weight(x.shape[2:]) for entry in entries]
    numbers = [weight for weight in weights if not isinstance(weight, Tensor)]
    if len(numbers) == len(weights) and all(entry.window is None for entry in entries):
        return [weight / (sum(numbers) + 1e-37) for weight in numbers]
    total = x.new_zeros(x.shape[0], 1, *x.shape[2:])
    shaped: list[Tensor] = []
    for entry, weight in zip(entries, weights, strict=True):
        part = total if entry.window is None else entry.window.crop(total)
        shaped.append(
            weight.to(x.device) if isinstance(weight, Tensor) else torch.full_like(part, weight)
        )
        part += shaped[-1]
    total += 1e-37
    return [
        weight / (total if entry.window is None else entry.window.crop(total))
        for entry, weight in zip(entries, shaped, strict=True)
    ]


def coverage(entries: Sequence[Entry], x: Tensor) -> Tensor:
    """The sum of the weights of entries at each place, [B, 1, ...]."""
    total = x.new_zeros(x.shape[0], 1, *x.shape[2:])
    for entry in entries:
        part = total if entry.window is None else entry.window.crop(total)
        weight = entry.weight(x.shape[2:])
        part += weight.to(x.device) if isinstance(weight, Tensor) else weight
    return total


def add_member(results: dict[int, Tensor], member: Member, denoised: Tensor, x: Tensor) -> None:
    """Add an entry's prediction to that of its side."""
    whole = member.window is None
    if whole and member.side not in results:
        is_all = not isinstance(member.weight, Tensor) and member.weight == 1.0
        results[member.side] = denoised if is_all else denoised * member.weight
        return
    result = results.setdefault(member.side, torch.zeros_like(x))
    part = result if member.window is None else member.window.crop(result)
    part += denoised * member.weight


class CfgDenoiser:
    """Classifier-free guidance (Ho and Salimans 2022): negative + cfg (positive - negative)."""

    POSITIVE, NEGATIVE = 0, 1

    def __init__(
        self, predictor: Predictor, schedule: Schedule, cfg: float, region: KnownRegion | None
    ) -> None:
        self.schedule = schedule
        self._predictor = predictor
        self._cfg = cfg
        self._region = region

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """The guided prediction; the negative side is not evaluated when cfg is 1."""
        if not math.isclose(self._cfg, 1.0):
            return self.with_unconditional(x, sigma)[0]
        [positive] = self._predictor.predict(self._seen(x, sigma), sigma, [self.POSITIVE])
        return self._kept(positive)

    def with_unconditional(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The guided and the negative prediction."""
        sides = [self.POSITIVE, self.NEGATIVE]
        positive, negative = self._predictor.predict(self._seen(x, sigma), sigma, sides)
        return self._kept(torch.lerp(negative, positive, self._cfg)), negative

    def _seen(self, x: Tensor, sigma: float) -> Tensor:
        return x if self._region is None else self._region.mix_input(x, sigma)

    def _kept(self, denoised: Tensor) -> Tensor:
        return denoised if self._region is None else self._region.mix_output(denoised)


@dataclass(frozen=True)
class CfgGuider:
    """Positive and negative prompt with a guidance scale."""

    positive: Conditioning
    negative: Conditioning
    cfg: float

    def prepare(self, model: DiffusionModel, x: Tensor, region: KnownRegion | None) -> CfgDenoiser:
        """A denoiser for latents of x's shape and device."""
        predictor = Predictor(model, [self.positive, self.negative], x)
        return CfgDenoiser(predictor, model.schedule, self.cfg, region)
