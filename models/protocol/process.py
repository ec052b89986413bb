"""CONDITIONING for a run: pairs become dicts, and dicts learn their place in the latent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from models.protocol.calculate import Cond
from models.protocol.grounding import share_grounding
from models.sampling.conditioning import mask_box
from models.sampling.mask import fit_mask
from models.sampling.window import Window


def convert_cond(cond: Sequence[Any]) -> list[Cond]:
    """Pairs of a context and options as dicts with the context under `cross_attn`."""
    converted = []
    for context, options in cond:
        entry = dict(options)
        if context is not None:
            entry["cross_attn"] = context
        entry["model_conds"] = dict(entry.get("model_conds", {}))
        entry["uuid"] = uuid.uuid4()
        converted.append(entry)
    return converted


def prepare_mask(noise_mask: Tensor, shape: Sequence[int], device: Any) -> Tensor:
    """A mask of any size as weights of a latent's shape [B, C, ...]."""
    fitted = fit_mask(noise_mask.cpu(), torch.empty(()).expand(tuple(shape)))
    return fitted.expand(*shape[:2], *fitted.shape[2:]).to(device)


def process_conds(
    model: Any,
    noise: Tensor,
    conds: Mapping[str, Sequence[Cond]],
    device: Any,
    latent_image: Tensor | None = None,
    denoise_mask: Tensor | None = None,
    seed: int | None = None,
    latent_shapes: Any = None,
) -> dict[str, list[Cond]]:
    """All conditionings, for latents of the noise's shape; see models.protocol.calculate."""
    sampling = model.model_sampling
    placed = {
        name: [entry for cond in found for entry in _placed(cond, noise, sampling, device)]
        for name, found in conds.items()
    }
    for name, entries in placed.items():
        others = [e for other, found in placed.items() if other != name for e in found]
        placed[name] = _with_partners(entries, others)
    for name, entries in placed.items():
        for entry in entries:
            options = {key: value for key, value in entry.items() if key != "model_conds"}
            found = network_inputs(
                model,
                options,
                noise,
                device,
                prompt_type=name,
                latent_image=latent_image,
                concat_latent_image=entry.get("concat_latent_image", latent_image),
                denoise_mask=entry.get("denoise_mask", denoise_mask),
                seed=seed,
            )
            entry["model_conds"] = {**found, **entry.get("model_conds", {})}
    _share_controls(placed)
    share_grounding(placed)
    for entries in placed.values():
        for entry in entries:
            if entry.get("control") is not None:
                entry["control"].pre_run(model, sampling.percent_to_sigma)
    return placed


def _share_controls(placed: dict[str, list[Cond]]) -> None:
    """Have controls that are for both sides (`control_apply_to_uncond`) on the negative one, too.

    They are dealt to the entries there that cover the whole picture; one that has a control of its
    own is joined by a copy of itself.
    """
    controls = [
        entry["control"]
        for entry in placed.get("positive", ())
        if entry.get("control") is not None and entry.get("control_apply_to_uncond")
    ]
    negative = placed.get("negative", [])
    whole = [entry for entry in negative if entry.get("area") is None]
    if not whole:
        return
    for number, control in enumerate(controls):
        entry = whole[number % len(whole)]
        if entry.get("control") is None:
            entry["control"] = control
        else:
            negative.append(entry | {"control": control})


def _placed(cond: Cond, noise: Tensor, sampling: Any, device: Any) -> list[Cond]:
    """The entry with absolute area, fitted mask and noise levels; none if its area is empty."""
    entry = dict(cond)
    space = noise.shape[2:]
    if entry.get("mask") is not None:
        entry["mask"] = fit_mask(entry["mask"], noise).to(device)
        if entry.get("set_area_to_bounds"):
            box = mask_box(entry["mask"]).cut(space)
            entry["area"] = None if box is None else (*box.sizes, *box.offsets)
    elif entry.get("area") is not None:
        window = Window.parse(entry["area"], space)
        if window is None:
            return []
        entry["area"] = (*window.sizes, *window.offsets)
    # A range of the node's, and one of the text encoder's hooks: both hold.
    for bound, choose in (("start", min), ("end", max)):
        percents = [entry.get(f"{prefix}{bound}_percent") for prefix in ("", "clip_")]
        sigmas = [sampling.percent_to_sigma(percent) for percent in percents if percent is not None]
        if sigmas:
            entry[f"timestep_{bound}"] = choose(sigmas)
    return [entry]


def _window(entry: Cond) -> Window | None:
    area = entry.get("area")
    if area is None:
        return None
    half = len(area) // 2
    return Window(tuple(area[:half]), tuple(area[half:]))


def _with_partners(entries: list[Cond], others: Sequence[Cond]) -> list[Cond]:
    """As models.sampling.conditioning.with_partners: an opposite for each area."""
    added = []
    for other in others:
        window = _window(other)
        if window is None:
            continue
        covers = [e for e in entries if (w := _window(e)) is None or w.covers(window)]
        if not covers:
            continue
        nearest = min(covers, key=_volume)
        if _window(nearest) != window:
            places = {k: v for k, v in other.items() if k in _PLACE}
            words = {k: v for k, v in nearest.items() if k not in _PLACE}
            added.append(words | places)
    return entries + added


_PLACE = frozenset({
    "area", "strength", "mask", "mask_strength", "set_area_to_bounds",
    "timestep_start", "timestep_end", "start_percent", "end_percent",
    "clip_start_percent", "clip_end_percent", "default",
})  # fmt: skip


def _volume(entry: Cond) -> float:
    window = _window(entry)
    return float("inf") if window is None else window.volume


def network_inputs(
    model: Any, entry: Mapping[str, Any], noise: Tensor, device: Any, **told: Any
) -> dict[str, Any]:
    """What the model (a BaseModel) makes of an entry's options; `told` goes with them."""
    said = {
        "width": noise.shape[-1] * 8,
        "height": noise.shape[-2] * 8 if noise.ndim > 3 else 8,
        **entry,
        **told,
        "device": device,
        "noise": noise,
    }
    found: dict[str, Any] = model.extra_conds(**said)
    return found
