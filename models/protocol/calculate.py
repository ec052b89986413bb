"""From conditionings and a noisy latent to a guided prediction, through all that packs hook in.

A conditioning here is a list of dicts as `process_conds` makes them: `model_conds` with the
model's inputs, `area`, `mask`, `strength`, `timestep_start`, `timestep_end`, `control`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from models.out_of_memory import Pieces, StepLadder, one_after_another, relief_of
from models.protocol.extension import WrapperExecutor, WrappersMP, get_all_wrappers
from models.protocol.grounding import gligen_of, grounded
from models.protocol.hooked import hooked
from models.protocol.hooks import HookGroup, keys
from models.protocol.replaced import current
from models.sampling.calls import about_to_call
from models.sampling.conditioning import Entry
from models.sampling.guidance import Member, add_member, coverage, shares
from models.sampling.mask import fit_mask
from models.sampling.window import Window

Cond = dict[str, Any]

_LADDER = "memory_ladder"  # in transformer options: of the run


def mark_level(timestep: Tensor, sigma: float) -> Tensor:
    """Note on a tensor of equal noise levels what they are, which saves waiting for a device."""
    timestep.known_level = sigma  # type: ignore[attr-defined]
    return timestep


def level_of(timestep: Tensor) -> float:
    """The noise level of a call."""
    known = getattr(timestep, "known_level", None)
    return float(timestep.flatten()[0]) if known is None else float(known)


def calc_cond_batch(
    model: Any,
    conds: Sequence[Sequence[Cond] | None],
    x_in: Tensor,
    timestep: Tensor,
    model_options: dict[str, Any],
) -> list[Tensor]:
    """The prediction of each conditioning [B, C, ...]; zeros for None."""
    wrappers = get_all_wrappers(WrappersMP.CALC_COND_BATCH, model_options, is_model_options=True)
    executor = WrapperExecutor.new_executor(_calc_cond_batch, wrappers)
    result: list[Tensor] = executor.execute(model, conds, x_in, timestep, model_options)
    return result


@dataclass
class _Group:
    """Entries that go through the model together."""

    window: Window | None
    control: Any
    hooks: HookGroup | None
    members: list[Member] = field(default_factory=list)
    conds: list[Cond] = field(default_factory=list)
    inputs: list[dict[str, Any]] = field(default_factory=list)

    def accepts(self, window: Window | None, cond: Cond, inputs: Mapping[str, Any]) -> bool:
        sizes = None if window is None else window.sizes
        if sizes != (None if self.window is None else self.window.sizes):
            return False
        if cond.get("control") is not self.control or keys(cond.get("hooks")) != keys(self.hooks):
            return False
        if gligen_of(cond) is not gligen_of(self.conds[0]):
            return False
        first = self.inputs[0]
        return first.keys() == inputs.keys() and all(
            type(first[name]) is type(inputs[name]) and first[name].can_concat(inputs[name])
            for name in first
        )

    def size(self) -> int:
        """How many entries go through the model."""
        return len(self.members)

    def cut(self) -> Pieces[_Group]:
        """Each entry in a group of its own."""
        entries = zip(self.members, self.conds, self.inputs, strict=True)
        groups = [
            _Group(member.window, self.control, self.hooks, [member], [cond], [inputs])
            for member, cond, inputs in entries
        ]
        return Pieces(groups, one_after_another)

    def joined(self) -> dict[str, Any]:
        first, *others = self.inputs
        return {
            name: value.concat([other[name] for other in others]) for name, value in first.items()
        }


def begin_calls(model: Any, options: dict[str, Any]) -> None:
    """Have the calls of a run, with these `model_options`, remember what memory was too small for.

    A step then does not try again what failed in one before.
    """
    options["transformer_options"][_LADDER] = _ladder(model)


def _ladder(model: Any) -> StepLadder[_Group]:
    return StepLadder(_Group.cut, _Group.size, relief_of(model))


def _calc_cond_batch(
    model: Any,
    conds: Sequence[Sequence[Cond] | None],
    x_in: Tensor,
    timestep: Tensor,
    model_options: dict[str, Any],
) -> list[Tensor]:
    sigma = level_of(timestep)
    results: dict[int, Tensor] = {}
    ladder = model_options.get("transformer_options", {}).get(_LADDER) or _ladder(model)

    def run(group: _Group) -> Sequence[Tensor]:
        about_to_call()
        return _evaluate(model, group, x_in, timestep, model_options).chunk(len(group.members))

    for group in _groups(conds, x_in, sigma):
        for member, part in zip(group.members, ladder.evaluate(group, run), strict=True):
            add_member(results, member, part, x_in)
    return [results.get(side, torch.zeros_like(x_in)) for side in range(len(conds))]


def _groups(conds: Sequence[Sequence[Cond] | None], x: Tensor, sigma: float) -> list[_Group]:
    groups: list[_Group] = []
    for side, entries in enumerate(conds):
        found = [(cond, entry_of(cond, x)) for cond in entries or ()]
        active = _with_defaults([pair for pair in found if pair[1].is_active(sigma)], x)
        weights = shares([entry for _, entry in active], x)
        for (cond, entry), weight in zip(active, weights, strict=True):
            inputs = _inputs(cond, entry.window, x)
            group = next((g for g in groups if g.accepts(entry.window, cond, inputs)), None)
            if group is None:
                group = _Group(entry.window, cond.get("control"), cond.get("hooks"))
                groups.append(group)
            group.members.append(Member(side, entry.window, weight))
            group.conds.append(cond)
            group.inputs.append(inputs)
    return groups


def _with_defaults(active: list[tuple[Cond, Entry]], x: Tensor) -> list[tuple[Cond, Entry]]:
    """Entries that are `default` act where the others leave something, and are left out else."""
    others = [pair for pair in active if not pair[0].get("default")]
    if len(others) == len(active):
        return active
    rest = (1 - coverage([entry for _, entry in others], x)).clamp(min=0)
    if not bool(rest.any()):
        return others
    return [
        (cond, replace(entry, window=None, mask=rest, mask_strength=1.0))
        if cond.get("default")
        else (cond, entry)
        for cond, entry in active
    ]


def _inputs(cond: Cond, window: Window | None, x: Tensor) -> dict[str, Any]:
    area = None if window is None else (*window.sizes, *window.offsets)
    return {
        name: value.process_cond(batch_size=x.shape[0], area=area)
        for name, value in cond["model_conds"].items()
    }


def entry_of(cond: Cond, x: Tensor) -> Entry:
    """Where, when and how strongly a processed conditioning acts."""
    area = cond.get("area")
    window = None if area is None else Window.parse(area, x.shape[2:])
    if window is not None and window.sizes == tuple(x.shape[-len(window.sizes) :]):
        window = None
    mask = cond.get("mask")
    return Entry(
        context=x,  # models take theirs from model_conds
        options=cond,
        window=window,
        mask=None if mask is None else fit_mask(mask, x),
        strength=cond.get("strength", 1.0),
        mask_strength=cond.get("mask_strength", 1.0),
        start_sigma=_bound(cond, "timestep_start", float("inf")),
        end_sigma=_bound(cond, "timestep_end", 0.0),
    )


def _bound(cond: Cond, name: str, default: float) -> float:
    return default if cond.get(name) is None else float(cond[name])


def _evaluate(
    model: Any, group: _Group, x: Tensor, timestep: Tensor, model_options: dict[str, Any]
) -> Tensor:
    count = len(group.members)
    parts = [x if m.window is None else m.window.crop(x) for m in group.members]
    batch = torch.cat(parts) if count > 1 else parts[0]
    levels = mark_level(torch.cat([timestep] * count), level_of(timestep))
    inputs = group.joined()
    sides = [member.side for member in group.members]
    transformer_options = dict(model_options.get("transformer_options", {}))
    transformer_options |= {
        "cond_or_uncond": sides,
        "uuids": [cond.get("uuid") for cond in group.conds],
        "sigmas": timestep,
    }
    windows = [member.window for member in group.members]
    transformer_options = grounded(group.conds, windows, x, transformer_options)
    with hooked(model, group.hooks, level_of(timestep), transformer_options) as options:
        return _call(
            model, group, batch, levels, inputs | {"transformer_options": options}, model_options
        )


def _call(
    model: Any,
    group: _Group,
    batch: Tensor,
    levels: Tensor,
    inputs: dict[str, Any],
    model_options: dict[str, Any],
) -> Tensor:
    if group.control is not None:
        inputs["control"] = group.control.get_control(
            batch, levels, inputs, len(group.members), inputs["transformer_options"]
        )
    wrapper = model_options.get("model_function_wrapper")
    if wrapper is None:
        output: Tensor = model.apply_model(batch, levels, **inputs)
    else:
        sides = [member.side for member in group.members]
        call = {"input": batch, "timestep": levels, "c": inputs, "cond_or_uncond": sides}
        output = wrapper(model.apply_model, call)
    return output


def cfg_function(
    model: Any,
    cond_pred: Tensor,
    uncond_pred: Tensor,
    cond_scale: float,
    x: Tensor,
    timestep: Tensor,
    model_options: dict[str, Any] | None = None,
    cond: Any = None,
    uncond: Any = None,
) -> Tensor:
    """Guide: by classifier-free guidance or the model's own function, then by all `post_cfg`."""
    options = model_options or {}
    function = options.get("sampler_cfg_function")
    common = facts(model, options, x, timestep, cond_scale, cond_pred, uncond_pred)
    if function is None:
        guided = torch.lerp(uncond_pred, cond_pred, cond_scale)
    else:
        # Such functions work on predictions of noise times sigma.
        noise = {"cond": x - cond_pred, "uncond": x - uncond_pred, "timestep": timestep}
        guided = x - function(common | noise)
    return after_guidance(guided, common | {"cond": cond, "uncond": uncond})


def facts(
    model: Any,
    options: dict[str, Any],
    x: Tensor,
    timestep: Tensor,
    cond_scale: float,
    cond_denoised: Tensor,
    uncond_denoised: Tensor,
) -> dict[str, Any]:
    """What functions of guidance are told of it."""
    return {
        "cond_scale": cond_scale,
        "cond_denoised": cond_denoised,
        "uncond_denoised": uncond_denoised,
        "model": model,
        "model_options": options,
        "input": x,
        "sigma": timestep,
    }


def after_guidance(guided: Tensor, told: dict[str, Any]) -> Tensor:
    """A guided prediction after all `post_cfg` functions, which are told facts."""
    for post in told["model_options"].get("sampler_post_cfg_function", ()):
        guided = post(told | {"denoised": guided})
    return guided


def sampling_function(
    model: Any,
    x: Tensor,
    timestep: Tensor,
    uncond: Sequence[Cond] | None,
    cond: Sequence[Cond] | None,
    cond_scale: float,
    model_options: dict[str, Any] | None = None,
    seed: int | None = None,
) -> Tensor:
    """The guided prediction; with a scale of 1 the negative side is not evaluated."""
    options = model_options if model_options is not None else {}
    one_side = math.isclose(cond_scale, 1.0) and not options.get("disable_cfg1_optimization")
    conds = [cond, None if one_side else uncond]
    common = {"input": x, "sigma": timestep, "model": model, "model_options": options}
    calculate = options.get("sampler_calc_cond_batch_function")
    if calculate is None:
        batch = current("comfy.samplers.calc_cond_batch", calc_cond_batch)
        out = batch(model, conds, x, timestep, options)
    else:
        out = calculate(common | {"conds": conds})
    for function in options.get("sampler_pre_cfg_function", ()):
        more = {"conds": conds, "conds_out": out, "cond_scale": cond_scale, "timestep": timestep}
        out = function(common | more)
    guide = current("comfy.samplers.cfg_function", cfg_function)
    guided: Tensor = guide(
        model, out[0], out[1], cond_scale, x, timestep,
        model_options=options, cond=cond, uncond=uncond,
    )  # fmt: skip
    return guided
