"""Colours written as text, and the colours of one picture given to another."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

_HEX = re.compile(r"#?([0-9a-fA-F]{6})([0-9a-fA-F]{2})?")


def rgb_of(text: str) -> tuple[tuple[float, float, float], float]:
    """((red, green, blue), alpha) in 0..1 of #RRGGBB or #RRGGBBAA; raises ValueError."""
    match = _HEX.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"a colour is written as #RRGGBB or #RRGGBBAA, not as {text!r}")
    red, green, blue = bytes.fromhex(match[1])
    return (red / 255, green / 255, blue / 255), int(match[2] or "ff", 16) / 255


def histograms(image: Tensor) -> dict[str, list[int]]:
    """Counts of 256 levels in one picture [H, W, C >= 3]: of each colour, and of brightness.

    `rgb` is the mean of those of the colours; brightness is that of BT.709.
    """
    levels = (image[..., :3].float().clamp(0, 1) * 255).round()
    weights = torch.tensor([0.2126, 0.7152, 0.0722]).to(levels)
    counts = {name: _count(levels[..., i]) for i, name in enumerate(("red", "green", "blue"))}
    counts["rgb"] = sum(counts.values(), torch.zeros(256)) / 3
    counts["luminance"] = _count((levels @ weights).round())
    return {name: count.round().int().tolist() for name, count in counts.items()}


def _count(levels: Tensor) -> Tensor:
    return torch.bincount(levels.flatten().long().cpu(), minlength=256).float()


# Pixels [N, 3], moved as it takes to make the second pixels look like the third.
_Match: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]


def _reinhard(pixels: Tensor, source: Tensor, reference: Tensor) -> Tensor:
    """E. Reinhard et al., "Color transfer between images", 2001: mean and deviation."""
    scale = _deviation(reference) / _deviation(source).clamp(min=1e-6)
    return (pixels - source.mean(dim=0)) * scale + reference.mean(dim=0)


def _monge_kantorovich(pixels: Tensor, source: Tensor, reference: Tensor) -> Tensor:
    """F. Pitie and A. Kokaram, "The linear Monge-Kantorovitch linear colour mapping", 2007."""
    root = _root(_covariance(source))
    inverse = torch.linalg.inv(root)
    middle = _root(root @ _covariance(reference) @ root)
    mapping: Tensor = inverse @ middle @ inverse
    return (pixels - source.mean(dim=0)) @ mapping + reference.mean(dim=0)


def _covariance(pixels: Tensor) -> Tensor:
    """[3, 3] of pixels [N, 3]; a single one does not vary."""
    return torch.cov(pixels.T, correction=min(1, len(pixels) - 1))


def _deviation(pixels: Tensor) -> Tensor:
    """[3] of pixels [N, 3]; a single one does not vary."""
    return pixels.std(dim=0, correction=min(1, len(pixels) - 1))


def _root(matrix: Tensor) -> Tensor:
    """The square root of a symmetric matrix; what is flat counts as nearly so."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors @ torch.diag(values.clamp(min=1e-6).sqrt()) @ vectors.T
    return root


def _match_histograms(pixels: Tensor, source: Tensor, reference: Tensor) -> Tensor:
    """Levels of 256 whose share of pixels below is the same, each channel for itself."""
    result = torch.empty_like(pixels)
    for channel in range(3):
        shares = [_shares(x[:, channel]) for x in (source, reference)]
        levels = torch.searchsorted(shares[1], shares[0]).clamp(max=255).to(pixels) / 255
        result[:, channel] = levels[_levels(pixels[:, channel])]
    return result


def _levels(values: Tensor) -> Tensor:
    return (values.clamp(0, 1) * 255).round().long()


def _shares(values: Tensor) -> Tensor:
    """Of each level: the share of values up to it."""
    counts = torch.bincount(_levels(values), minlength=256).double()
    shares: Tensor = counts.cumsum(0) / counts.sum()
    return shares


_IN_LAB: Final[Mapping[str, _Match]] = {
    "reinhard_lab": _reinhard,
    "mkl_lab": _monge_kantorovich,
}
METHODS: Final = [*_IN_LAB, "histogram"]


def transfer(
    images: Tensor, reference: Tensor, method: str, strength: float, statistics: Tensor | None
) -> Tensor:
    """Pictures [B, H, W, 3] with the colours of others, in 0..1.

    The colours that are moved are those of `statistics`, pictures as well, or of each picture for
    itself. Picture i gets those of reference i, counted round.
    """
    made = []
    for i, image in enumerate(images):
        source = image[None] if statistics is None else statistics
        made.append(_transfer(image, source, reference[i % len(reference)], method, strength))
    return torch.stack(made).clamp_(0, 1)


def _transfer(
    image: Tensor, source: Tensor, reference: Tensor, method: str, strength: float
) -> Tensor:
    match = _IN_LAB.get(method)
    if match is None:
        matched = _match_histograms(
            image.reshape(-1, 3), source.reshape(-1, 3), reference.reshape(-1, 3)
        )
        return torch.lerp(image, matched.reshape(image.shape), strength)
    lab = _lab(image)
    matched = match(lab.reshape(-1, 3), _lab(source).reshape(-1, 3), _lab(reference).reshape(-1, 3))
    return _rgb(torch.lerp(lab, matched.reshape(lab.shape), strength))


def with_statistics_of(reference: Tensor, images: Tensor) -> Tensor:
    """Pictures [B, H, W, 3] with the mean and deviation that each channel of others has.

    X. Huang and S. Belongie, "Arbitrary style transfer with adaptive instance normalization", 2017.
    """
    (mean, deviation), (wanted_mean, wanted) = (
        (x.mean(dim=(1, 2), keepdim=True), x.std(dim=(1, 2), keepdim=True))
        for x in (images, reference)
    )
    return (images - mean) / deviation.clamp(min=1e-6) * wanted + wanted_mean


def with_bands_of(reference: Tensor, images: Tensor, levels: int = 5) -> Tensor:
    """Pictures [B, H, W, 3] whose lowest band is that of others.

    The transform "a trous" (M. Holschneider et al., 1989) with the filter (1, 2, 1) / 4.
    """
    return images - _lowest_band(images, levels) + _lowest_band(reference, levels)


def _lowest_band(images: Tensor, levels: int) -> Tensor:
    band = images.movedim(-1, 1)
    row = band.new_tensor([0.25, 0.5, 0.25])
    for level in range(levels):
        step = 2**level
        for kernel in (row[None, :], row[:, None]):
            pad = [step if size > 1 else 0 for size in (kernel.shape[1], kernel.shape[0])]
            padded = functional.pad(band, (pad[0], pad[0], pad[1], pad[1]), mode="replicate")
            weight = kernel.expand(band.shape[1], 1, -1, -1)
            band = functional.conv2d(padded, weight, dilation=step, groups=band.shape[1])
    return band.movedim(1, -1)


def _lab(image: Tensor) -> Tensor:
    from kornia.color import rgb_to_lab

    return rgb_to_lab(image.movedim(-1, -3)).movedim(-3, -1)


def _rgb(lab: Tensor) -> Tensor:
    from kornia.color import lab_to_rgb

    return lab_to_rgb(lab.movedim(-1, -3)).movedim(-3, -1)


def linear(colors: Tensor) -> Tensor:
    """sRGB colours as linear light (IEC 61966-2-1); what is below 0 or above 1 goes on."""
    curve = ((colors + 0.055) / 1.055).clamp(min=0) ** 2.4
    return torch.where(colors <= 0.04045, colors / 12.92, curve)
