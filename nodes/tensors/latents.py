"""Latents taken apart, laid over and mixed with each other.

A latent is {"samples": [B, C, ..., h, w]}, and may have a `noise_mask` [B, ..., H, W] and a
`batch_index`: the place of each item in the batch whose noise it gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from nodes.tensors.batches import fit, in_batches, repeat_to

Latent: TypeAlias = Mapping[str, Any]

_SMALLEST = 8  # latent elements: what at least is left where a crop begins near the end


def with_samples(latent: Latent, samples: Tensor, **more: Any) -> dict[str, Any]:
    """The latent with other samples and whatever else."""
    return {**latent, "samples": samples, **more}


def batch_index(latent: Latent) -> list[int]:
    """The places of the items in their batch: by default they are the batch."""
    index = latent.get("batch_index")
    return list(range(latent["samples"].shape[0])) if index is None else list(index)


def of_batch(latent: Latent, start: int, length: int) -> dict[str, Any]:
    """`length` items from `start` on, at least the last one; a mask for all stays one for all."""
    samples = latent["samples"]
    start = min(samples.shape[0] - 1, start)
    chosen = slice(start, min(samples.shape[0], start + length))
    taken = with_samples(latent, samples[chosen].clone())
    mask = latent.get("noise_mask")
    if mask is not None and mask.shape[0] > 1:
        taken["noise_mask"] = repeat_to(mask, samples.shape[0])[chosen].clone()
    taken["batch_index"] = batch_index(latent)[chosen]
    return taken


def repeated(latent: Latent, amount: int) -> dict[str, Any]:
    """The batch `amount` times; each time with places of its own, where they are given."""
    samples = latent["samples"]
    made = with_samples(latent, samples.repeat(amount, *[1] * (samples.ndim - 1)))
    mask = latent.get("noise_mask")
    if mask is not None and mask.shape[0] > 1:
        mask = repeat_to(mask, samples.shape[0])
        made["noise_mask"] = mask.repeat(amount, *[1] * (mask.ndim - 1))
    index = latent.get("batch_index")
    if index is not None:
        distance = max(index) - min(index) + 1
        made["batch_index"] = [place + i * distance for i in range(amount) for place in index]
    return made


def check_alike(first: Tensor, second: Tensor, *, along: int | None = None) -> None:
    """Raise InvalidInput where two latents cannot be one for reasons other than batch and sides.

    `along` is an axis on which they may differ; then the sides must be the same.
    """
    if first.ndim != second.ndim:
        kinds = ["a film" if x.ndim == 5 else "a picture" for x in (first, second)]
        raise InvalidInput(f"latents of {kinds[0]} and of {kinds[1]} cannot be combined")
    checked = range(1, first.ndim if along is not None else first.ndim - 2)
    names = {1: "channels", first.ndim - 2: "rows", first.ndim - 1: "columns"}
    for axis in checked:
        counts = (first.shape[axis], second.shape[axis])
        if counts[0] != counts[1] and (along is None or axis != along % first.ndim):
            of = " (of different models)" if axis == 1 else ""
            what = names.get(axis, "latent frames")
            raise InvalidInput(
                f"latents of {counts[0]} and {counts[1]} {what}{of} cannot be combined"
            )


def check_sides(samples: Tensor) -> None:
    """Raise InvalidInput for a latent without height and width: that of a sound, say."""
    if samples.ndim < 4:
        raise InvalidInput(
            f"this node needs the latent of a picture or a film, and was given one of the shape "
            f"{list(samples.shape)}"
        )


def check_film(samples: Tensor) -> None:
    """Raise InvalidInput for a latent without an axis of time."""
    if samples.ndim != 5:
        raise InvalidInput(
            f"this node needs the latent of a film, and was given one of the shape "
            f"{list(samples.shape)}"
        )


def joined(first: Latent, second: Latent) -> dict[str, Any]:
    """Two batches as one; the second gets the sides of the first."""
    check_alike(first["samples"], second["samples"])
    samples = torch.cat((first["samples"], fit(second["samples"], first["samples"])))
    return with_samples(first, samples, batch_index=batch_index(first) + batch_index(second))


def rebatched(latents: Sequence[Latent], size: int) -> list[dict[str, Any]]:
    """The same items in batches of `size`; a new one also begins where the sides change.

    Items keep their places, or are counted over all that come before. Where one of a batch has a
    noise mask, all do: with the sides of the first mask, and ones for those without.
    """
    items: list[Latent] = []
    for latent in latents:
        count = latent["samples"].shape[0]
        places = latent.get("batch_index") or range(len(items), len(items) + count)
        masks = latent.get("noise_mask")
        if masks is not None:
            masks = repeat_to(masks, count)
        for i, place in enumerate(places):
            item = with_samples(latent, latent["samples"][i : i + 1], batch_index=[place])
            items.append(item if masks is None else {**item, "noise_mask": masks[i : i + 1]})
    groups = in_batches(items, size, lambda item: item["samples"].shape)
    return [_together(group) for group in groups]


def _together(items: Sequence[Latent]) -> dict[str, Any]:
    made = with_samples(
        items[0],
        torch.cat([item["samples"] for item in items]),
        batch_index=[place for item in items for place in item["batch_index"]],
    )
    given = [item["noise_mask"] for item in items if "noise_mask" in item]
    if given:
        everywhere = torch.ones_like(given[0])
        masks = [item.get("noise_mask", everywhere) for item in items]
        sides = everywhere.shape[-2:]
        masks = [mask if mask.shape[-2:] == sides else _resized(mask, sides) for mask in masks]
        made["noise_mask"] = torch.cat(masks)
    return made


def _resized(mask: Tensor, sides: torch.Size) -> Tensor:
    planes = mask.reshape(-1, 1, *mask.shape[-2:])
    resized = functional.interpolate(planes, size=sides, mode="bilinear")
    return resized.reshape(*mask.shape[:-2], *sides)


def crop(samples: Tensor, width: int, height: int, x: int, y: int) -> Tensor:
    """A rectangle of [..., H, W], as far as it lies inside."""
    x = max(0, min(x, samples.shape[-1] - _SMALLEST))
    y = max(0, min(y, samples.shape[-2] - _SMALLEST))
    return samples[..., y : y + height, x : x + width]


def composite(lower: Tensor, upper: Tensor, x: int, y: int, feather: int) -> Tensor:
    """[B, C, ..., H, W] with another laid on at (x, y); edges inside fade over `feather` elements.

    Raises InvalidInput for latents of different models.
    """
    check_sides(lower)
    check_alike(lower, upper)
    upper = repeat_to(upper, lower.shape[0])
    height = min(upper.shape[-2], lower.shape[-2] - y)
    width = min(upper.shape[-1], lower.shape[-1] - x)
    result = lower.clone()
    if height <= 0 or width <= 0:
        return result
    part = upper[..., :height, :width]
    place = (..., slice(y, y + height), slice(x, x + width))
    weight = torch.ones(height, width, dtype=lower.dtype, device=lower.device)
    for step in range(feather):
        # Slices, not indices: where the ramp is longer than the part, those from the far end come
        # round again, and recorded results have that.
        share = (step + 1) / feather
        if y > 0:
            weight[step : step + 1] *= share
        if y + height < lower.shape[-2]:
            weight[height - 1 - step : height - step] *= share
        if x > 0:
            weight[:, step : step + 1] *= share
        if x + width < lower.shape[-1]:
            weight[:, width - 1 - step : width - step] *= share
    result[place] = part * weight + result[place] * (1 - weight)
    return result


def blend(first: Tensor, second: Tensor, share: float) -> Tensor:
    """`share` of the first; the second is brought to its sides."""
    check_alike(first, second)
    second = fit(second, first, "bicubic")
    if 1 not in (first.shape[0], second.shape[0]):
        second = repeat_to(second, first.shape[0])
    return first * share + second * (1 - share)


def match(first: Tensor, second: Tensor) -> Tensor:
    """The second with the sides and the batch of the first."""
    check_alike(first, second)
    return repeat_to(fit(second, first), first.shape[0])


def interpolate(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Mix directions and lengths of the channel vectors apart; `share` of the first."""
    second = match(first, second)
    first_length, second_length = _length(first), _length(second)
    unit = torch.nan_to_num(first / first_length) * share
    unit = unit + torch.nan_to_num(second / second_length) * (1 - share)
    unit = torch.nan_to_num(unit / _length(unit))
    return unit * (first_length * share + second_length * (1 - share))


def _length(samples: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(samples, dim=1, keepdim=True)
    return length


def cut(samples: Tensor, axis: int, index: int, amount: int) -> Tensor:
    """`amount` slices along an axis below 0; an index below 0 counts from the end."""
    _check_axis(samples, axis)
    size = samples.shape[axis]
    start = min(index, size - 1) if index >= 0 else max(0, size + index)
    return samples.narrow(axis, start, min(size - start, amount))


def _check_axis(samples: Tensor, axis: int) -> None:
    if samples.ndim + axis < 2:
        raise InvalidInput(f"a latent of the shape {list(samples.shape)} has no such axis to cut")


def cut_to_batch(samples: Tensor, axis: int, size: int) -> Tensor:
    """Pieces of `size` along an axis below 0, as a batch; what is left over is dropped."""
    _check_axis(samples, axis)
    size = min(size, samples.shape[axis])
    count = samples.shape[axis] // size
    starts = range(0, count * size, size)
    return torch.stack([item.narrow(axis, start, size) for item in samples for start in starts])


_MEAN_CHANGE: Final = (-0.05, 0.1)  # limits of what is done to the mean and deviation of a start
_DEVIATION_CHANGE: Final = (-0.1, 0.25)


def start_normalized(samples: Tensor, start: int, reference: int) -> Tensor:
    """Video latents [B, C, T, h, w] whose first frames have the statistics of the next ones.

    Each item's mean and deviation move to those of the `reference` frames after the `start`, within
    the limits that Kandinsky 5's pipeline has in diffusers (`normalize_first_frame`).
    """
    first, rest = samples[:, :, :start], samples[:, :, start : start + reference]
    mean, deviation = _statistics(first)
    rest_mean, rest_deviation = _statistics(rest)
    low, high = _MEAN_CHANGE
    new_mean = rest_mean.clamp(mean + low, mean + high)
    low, high = _DEVIATION_CHANGE
    new_deviation = rest_deviation.clamp(deviation + low, deviation + high)
    scale = torch.where(deviation > 0, new_deviation / deviation, torch.ones_like(deviation))
    normalized = (first - mean) * scale + new_mean
    return torch.cat((normalized, samples[:, :, start:]), dim=2)


def _statistics(samples: Tensor) -> tuple[Tensor, Tensor]:
    axes = tuple(range(1, samples.ndim))
    return samples.mean(dim=axes, keepdim=True), samples.std(dim=axes, keepdim=True)
