"""The networks MoGe (Wang et al. 2024, arXiv:2410.19115) and MoGe-2 (2025, arXiv:2507.02546).

They say where the pixels of a picture lie, up to an unknown focal length and distance; the second
knows the scale, and normals. Parameters have the names of the authors' files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.geometry.transformer import PATCH, Transformer, TransformerShape, standardised
from models.geometry.view_plane import view_plane

Remap = Literal["linear", "sinh", "exp", "sinh_exp"]
Norm = Literal["none", "layer", "group"]

_GROUP: Final = 32  # channels


class Prediction(NamedTuple):
    """What a network says of pictures, float32."""

    points: Tensor  # [B, H, W, 3], of an unknown focal length and with an unknown offset of z
    mask: Tensor | None  # [B, H, W], above 0.5 where something is known
    normal: Tensor | None = None  # [B, H, W, 3]
    scale: Tensor | None = None  # [B], of a unit in metres


def remapped(points: Tensor, remap: Remap) -> Tensor:
    """Points [B, H, W, 3] of what a network says."""
    if remap == "linear":
        return points
    if remap == "sinh":
        return points.sinh()
    plane, z = points[..., :2], points[..., 2:].exp()
    return torch.cat((plane * z if remap == "exp" else plane.sinh(), z), dim=-1)


def _conv(inside: int, outside: int, size: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, size, padding=size // 2, padding_mode="replicate")


class _Residual(nn.Module):
    """Two convolutions, whose result is added."""

    def __init__(self, channels: int, hidden: int, before: Norm, inside: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _norm(before, channels),
            nn.ReLU(),
            _conv(channels, hidden, 3),
            _norm(inside, hidden),
            nn.ReLU(),
            _conv(hidden, channels, 3),
        )

    def forward(self, features: Tensor) -> Tensor:
        changed: Tensor = features + self.layers(features)
        return changed


def _norm(kind: Norm, channels: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    return nn.GroupNorm(1 if kind == "layer" else max(1, channels // _GROUP), channels)


def _doubled(inside: int, outside: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(inside, outside, 2, stride=2), _conv(outside, outside, 3)]


@dataclass(frozen=True, kw_only=True)
class FirstShape:
    """What tells networks of MoGe's first version apart."""

    encoder: TransformerShape
    taken: Sequence[int]  # blocks of the encoder that are looked at
    projected: int  # channels of what is taken
    widths: Sequence[int]  # channels behind each doubling of sides
    residuals: int  # blocks behind each
    times_hidden: int
    inside: Norm  # of the blocks
    last_residuals: int
    last_width: int
    last_size: int  # of the last convolution
    remap: Remap
    tokens: tuple[int, int]  # patches of a picture, at the coarsest level and the finest


class FirstMoGe(nn.Module):
    """MoGe's first version."""

    def __init__(self, shape: FirstShape) -> None:
        super().__init__()
        self.shape = shape
        self.backbone = Transformer(shape.encoder)
        self.head = _FirstHead(shape)

    def forward(self, image: Tensor, tokens: int) -> Prediction:
        """What it says of pictures [B, 3, H, W] in 0..1, seen as so many patches."""
        height, width = image.shape[-2:]
        factor = (tokens * PATCH**2 / (height * width)) ** 0.5
        sides = [max(PATCH, int(side * factor)) for side in (height, width)]
        image = functional.interpolate(image, sides, mode="bicubic", antialias=True)
        rows, columns = (side // PATCH for side in sides)
        whole = functional.interpolate(
            standardised(image), (rows * PATCH, columns * PATCH), mode="bilinear", antialias=True
        )
        hidden = self.backbone(whole[:, None], self.shape.taken)
        taken = [self.backbone.norm(h.joint[:, 0, 1:]).mT for h in hidden]
        grids = [t.reshape(len(t), -1, rows, columns) for t in taken]
        points, mask = (
            functional.interpolate(said.float(), (height, width), mode="bilinear")
            for said in self.head(grids, sides)
        )
        return Prediction(remapped(points.movedim(1, -1), self.shape.remap), mask[:, 0])


class _FirstHead(nn.Module):
    def __init__(self, shape: FirstShape) -> None:
        super().__init__()
        self.projects = nn.ModuleList(
            nn.Conv2d(shape.encoder.width, shape.projected, 1) for _ in shape.taken
        )
        self.upsample_blocks = nn.ModuleList(
            nn.Sequential(
                nn.Sequential(*_doubled(inside + 2, outside)),
                *(self._block(shape, outside) for _ in range(shape.residuals)),
            )
            for inside, outside in pairwise((shape.projected, *shape.widths))
        )
        self.output_block = nn.ModuleList(
            nn.Sequential(
                _conv(shape.widths[-1] + 2, shape.last_width, 3),
                *(self._block(shape, shape.last_width) for _ in range(shape.last_residuals)),
                nn.ReLU(),
                _conv(shape.last_width, channels, shape.last_size),
            )
            for channels in (3, 1)
        )

    @staticmethod
    def _block(shape: FirstShape, channels: int) -> nn.Module:
        return _Residual(channels, shape.times_hidden * channels, "layer", shape.inside)

    def forward(self, taken: Sequence[Tensor], sides: Sequence[int]) -> list[Tensor]:
        """Points and mask of what the encoder said [B, C, rows, columns] of pictures so large."""
        aspect = sides[1] / sides[0]
        seen = [project(t) for project, t in zip(self.projects, taken, strict=True)]
        features = torch.stack(seen).sum(dim=0)
        for block in self.upsample_blocks:
            features = block(_placed(features, aspect))
        features = functional.interpolate(features, tuple(sides), mode="bilinear")
        features = _placed(features, aspect)
        return [block(features) for block in self.output_block]


def _placed(features: Tensor, aspect: float) -> Tensor:
    """With two channels that say where each place is."""
    rows, columns = features.shape[-2:]
    plane = view_plane(rows, columns, aspect, features)
    return torch.cat((features, plane.expand(len(features), -1, -1, -1)), dim=1)


@dataclass(frozen=True, kw_only=True)
class StackShape:
    """What tells stacks of convolutions apart. Each level has twice the sides of the last."""

    inputs: Sequence[int | None]  # channels that come in at each level; None: as they are
    widths: Sequence[int]
    outputs: Sequence[int | None]
    residuals: Sequence[int]  # blocks at each level
    times_hidden: int
    before: Norm
    inside: Norm
    is_learned: Sequence[bool]  # whether sides are doubled by a convolution, or by interpolation


class _Stack(nn.Module):
    def __init__(self, shape: StackShape) -> None:
        super().__init__()
        self.input_blocks = nn.ModuleList(map(_point_wise, shape.inputs, shape.widths))
        self.resamplers = nn.ModuleList(
            nn.Sequential(*_doubled(inside, outside))
            if is_learned
            else nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear"), _conv(inside, outside, 3)
            )
            for (inside, outside), is_learned in zip(
                pairwise(shape.widths), shape.is_learned, strict=True
            )
        )
        self.res_blocks = nn.ModuleList(
            nn.Sequential(
                *(
                    _Residual(width, shape.times_hidden * width, shape.before, shape.inside)
                    for _ in range(count)
                )
            )
            for width, count in zip(shape.widths, shape.residuals, strict=True)
        )
        self.output_blocks = nn.ModuleList(
            _point_wise(width, made)
            for width, made in zip(shape.widths, shape.outputs, strict=True)
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        found, last = [], len(levels) - 1
        features: Tensor | None = None
        for i, level in enumerate(levels):
            brought = self.input_blocks[i](level)
            features = self.res_blocks[i](brought if features is None else features + brought)
            found.append(self.output_blocks[i](features))
            if i < last:
                features = self.resamplers[i](features)
        return found


def _point_wise(inside: int | None, outside: int | None) -> nn.Module:
    if inside is None or outside is None:
        return nn.Identity()
    return nn.Conv2d(inside, outside, 1)


@dataclass(frozen=True, kw_only=True)
class SecondShape:
    """What tells networks of MoGe's second version apart; heads that they lack are None."""

    encoder: TransformerShape
    taken: Sequence[int]
    projected: int
    neck: StackShape
    points: StackShape
    mask: StackShape | None
    normal: StackShape | None
    scale: Sequence[int] | None  # channels
    remap: Remap
    tokens: tuple[int, int]


class SecondMoGe(nn.Module):
    """MoGe's second version."""

    def __init__(self, shape: SecondShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = _Encoder(shape)
        self.neck = _Stack(shape.neck)
        self.points_head = _Stack(shape.points)
        self.mask_head = None if shape.mask is None else _Stack(shape.mask)
        self.normal_head = None if shape.normal is None else _Stack(shape.normal)
        self.scale_head = None if shape.scale is None else _scale_head(shape.scale)

    def forward(self, image: Tensor, tokens: int) -> Prediction:
        """What it says of pictures [B, 3, H, W] in 0..1, seen as so many patches."""
        height, width = image.shape[-2:]
        aspect = width / height
        rows = max(1, round((tokens / aspect) ** 0.5))
        columns = max(1, round((tokens * aspect) ** 0.5))
        seen, summary = self.encoder(image, rows, columns)
        planes = [
            view_plane(rows << i, columns << i, aspect, seen).expand(len(seen), -1, -1, -1)
            for i in range(len(self.shape.neck.widths))
        ]
        levels = self.neck([torch.cat((seen, planes[0]), dim=1), *planes[1:]])

        def said(head: nn.Module) -> Tensor:
            finest = head(levels)[-1].float()
            scaled = functional.interpolate(finest, (height, width), mode="bilinear")
            return scaled.movedim(1, -1)

        mask = None if self.mask_head is None else said(self.mask_head)[..., 0].sigmoid()
        normal = None
        if self.normal_head is not None:
            normal = functional.normalize(said(self.normal_head), dim=-1)
        scale = None
        if self.scale_head is not None:
            scale = self.scale_head(summary)[:, 0].float().exp()
        return Prediction(remapped(said(self.points_head), self.shape.remap), mask, normal, scale)


class _Encoder(nn.Module):
    def __init__(self, shape: SecondShape) -> None:
        super().__init__()
        self.taken = shape.taken
        self.backbone = Transformer(shape.encoder)
        self.output_projections = nn.ModuleList(
            nn.Conv2d(shape.encoder.width, shape.projected, 1) for _ in shape.taken
        )

    def forward(self, image: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """[B, C, rows, columns], and one token [B, width] of each whole picture."""
        sides = (rows * PATCH, columns * PATCH)
        whole = functional.interpolate(image, sides, mode="bilinear", antialias=True)
        hidden = self.backbone(standardised(whole)[:, None], self.taken)
        normed = [self.backbone.norm(h.joint[:, 0]) for h in hidden]
        seen = [
            project(tokens[:, 1:].mT.reshape(len(tokens), -1, rows, columns))
            for project, tokens in zip(self.output_projections, normed, strict=True)
        ]
        return torch.stack(seen).sum(dim=0), normed[-1][:, 0]


def _scale_head(channels: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inside, outside in pairwise(channels):
        layers += [nn.Linear(inside, outside), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
