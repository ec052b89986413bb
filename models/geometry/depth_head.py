"""The part of Depth Anything 3 that makes maps of what its transformer says.

R. Ranftl et al., "Vision transformers for dense prediction", 2021 (arXiv:2103.13413); the second
chain for rays is of H. Lin et al. 2025 (arXiv:2511.10647), section 3.2. Parameters have the names
of the authors' files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.geometry.transformer import PATCH
from models.geometry.view_plane import view_plane

_LAST: Final = 32  # channels before the last convolution
_RAY: Final = 6  # numbers: the direction, then the origin
_FINEST: Final = 3  # the level whose rays are told; files have others, for training
_SHARE: Final = 0.1  # of what says where a place is, beside what is seen there
_BASE: Final = 100.0  # of its frequencies


@dataclass(frozen=True, kw_only=True)
class HeadShape:
    """What tells such heads apart."""

    inputs: int  # channels of each token
    widths: Sequence[int]  # of four levels
    features: int
    is_joint: bool  # its maps are of several pictures of a scene: with confidence, and with rays
    has_sky: bool


class Maps(NamedTuple):
    """What the head says of pictures, float32."""

    depth: Tensor  # [B, H, W]
    confidence: Tensor | None = None  # [B, H, W]
    sky: Tensor | None = None  # [B, H, W]
    rays: Tensor | None = None  # [B, h, w, 6] direction and origin
    ray_confidence: Tensor | None = None  # [B, h, w]


class DepthHead(nn.Module):
    """Maps of tokens behind four blocks."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        first, second, _, fourth = shape.widths
        self.norm = nn.LayerNorm(shape.inputs) if shape.is_joint else nn.Identity()
        self.projects = nn.ModuleList(nn.Conv2d(shape.inputs, w, 1) for w in shape.widths)
        self.resize_layers = nn.ModuleList(
            (
                nn.ConvTranspose2d(first, first, 4, stride=4),
                nn.ConvTranspose2d(second, second, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(fourth, fourth, 3, stride=2, padding=1),
            )
        )
        self.scratch = _Scratch(shape)

    def forward(
        self, tokens: Sequence[Tensor], rows: int, columns: int, *, with_rays: bool
    ) -> Maps:
        """Maps of tokens [B, rows * columns, C] each, with the sides of the pictures."""
        aspect = columns / rows
        levels = []
        for i, seen in enumerate(tokens):
            grid = self.norm(seen).mT.reshape(len(seen), -1, rows, columns)
            level = self.projects[i](grid)
            if self.shape.is_joint:
                level = _placed(level, aspect)
            levels.append(self.scratch.adapted(i, self.resize_layers[i](level)))
        scratch = self.scratch
        features = scratch.output_conv1(scratch.fused(levels, ""))
        sides = (rows * PATCH, columns * PATCH)
        features = functional.interpolate(features, sides, mode="bilinear", align_corners=True)
        if self.shape.is_joint:
            features = _placed(features, aspect)
        said = scratch.output_conv2(features).float()
        maps = Maps(said[:, 0].exp())
        if self.shape.is_joint:
            maps = maps._replace(confidence=said[:, 1].exp() + 1)
        if self.shape.has_sky:
            maps = maps._replace(sky=scratch.sky_output_conv2(features)[:, 0].float().relu())
        if not (self.shape.is_joint and with_rays):
            return maps
        finest = scratch.output_conv1_aux[str(_FINEST)](scratch.fused(levels, "_aux"))
        rays = scratch.output_conv2_aux[str(_FINEST)](_placed(finest, aspect)).float()
        return maps._replace(
            rays=rays[:, :_RAY].movedim(1, -1), ray_confidence=rays[:, _RAY].exp() + 1
        )


class _Scratch(nn.Module):
    """What brings four levels together, coarse to fine, and what makes maps of the result."""

    def __init__(self, shape: HeadShape) -> None:
        super().__init__()
        features, half = shape.features, shape.features // 2
        for i, width in enumerate(shape.widths, start=1):
            self.add_module(f"layer{i}_rn", nn.Conv2d(width, features, 3, padding=1, bias=False))
        for chain in ("", "_aux") if shape.is_joint else ("",):
            for i in range(1, 5):
                self.add_module(f"refinenet{i}{chain}", _Fusion(features, has_lateral=i < 4))
        self.output_conv1 = nn.Conv2d(features, half, 3, padding=1)
        self.output_conv2 = _last(half, 2 if shape.is_joint else 1)
        if shape.has_sky:
            self.sky_output_conv2 = _last(half, 1)
        if shape.is_joint:
            widths = (features, half, features, half, features, half)
            convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)]
            self.output_conv1_aux = nn.ModuleDict({str(_FINEST): nn.Sequential(*convolutions)})
            self.output_conv2_aux = nn.ModuleDict({str(_FINEST): _last_normed(half, _RAY + 1)})

    def adapted(self, level: int, features: Tensor) -> Tensor:
        """A level with the channels that all have."""
        return cast(Tensor, self.get_submodule(f"layer{level + 1}_rn")(features))

    def fused(self, levels: Sequence[Tensor], chain: str) -> Tensor:
        """All levels in one, of twice the sides of the finest."""
        features: Tensor | None = None
        for i in (3, 2, 1, 0):
            finer = tuple(levels[i - 1].shape[-2:]) if i else None
            features = self.get_submodule(f"refinenet{i + 1}{chain}")(levels[i], features, finer)
        assert features is not None
        return features


def _last(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, _LAST, 3, padding=1), nn.ReLU(), nn.Conv2d(_LAST, outside, 1)
    )


def _last_normed(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, _LAST, 3, padding=1),
        nn.Identity(),
        _ChannelNorm(_LAST),
        nn.Identity(),
        nn.ReLU(),
        nn.Conv2d(_LAST, outside, 1),
    )


class _ChannelNorm(nn.LayerNorm):
    """Over channels [B, C, H, W]."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


class _Fusion(nn.Module):
    def __init__(self, features: int, *, has_lateral: bool) -> None:
        super().__init__()
        if has_lateral:
            self.resConfUnit1 = _Residual(features)
        self.resConfUnit2 = _Residual(features)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(
        self, level: Tensor, coarser: Tensor | None, sides: tuple[int, int] | None
    ) -> Tensor:
        """A level and what coarser ones have said, with other sides: twice as long, or these."""
        mixed = level if coarser is None else coarser + self.resConfUnit1(level)
        mixed = self.resConfUnit2(mixed)
        target = sides or (2 * mixed.shape[-2], 2 * mixed.shape[-1])
        scaled = functional.interpolate(mixed, target, mode="bilinear", align_corners=True)
        made: Tensor = self.out_conv(scaled)
        return made


class _Residual(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.conv1(features.relu()).relu()
        changed: Tensor = self.conv2(inner) + features
        return changed


def _placed(features: Tensor, aspect: float) -> Tensor:
    """With a tenth of sines and cosines of each place, half of the channels for x, half for y."""
    _, channels, rows, columns = features.shape
    quarter = channels // 4
    plane = view_plane(rows, columns, aspect, features)[0].float()  # 2 h w
    steps = torch.arange(quarter, device=features.device) / quarter
    angles = plane[:, None] * (_BASE**-steps)[:, None, None]  # 2 c h w
    waves = torch.cat((angles.sin(), angles.cos()), dim=1).flatten(0, 1)
    return features + (waves * _SHARE).to(features)
