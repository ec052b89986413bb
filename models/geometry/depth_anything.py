"""The network Depth Anything 3 (H. Lin et al. 2025, arXiv:2511.10647).

It says how far away the pixels of one picture are, or of several of a scene, and from where these
were taken. Parameters have the names of the authors' files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.geometry.depth_head import DepthHead, HeadShape, Maps
from models.geometry.reference_views import Strategy
from models.geometry.transformer import PATCH, Hidden, Transformer, TransformerShape


@dataclass(frozen=True, kw_only=True)
class DepthShape:
    """What tells such networks apart."""

    encoder: TransformerShape
    taken: Sequence[int]  # four blocks of the encoder
    head: HeadShape
    has_cameras: bool  # whether it says from where pictures were taken


class Seen(NamedTuple):
    """What a network says of V pictures of one scene, float32."""

    maps: Maps  # of each picture
    cameras: Tensor | None  # [V, 9]: place, quaternion (x y z w), angles of height and width


class DepthAnything(nn.Module):
    """Depth Anything 3."""

    def __init__(self, shape: DepthShape) -> None:
        super().__init__()
        self.shape = shape
        self.backbone = nn.ModuleDict({"pretrained": Transformer(shape.encoder)})
        self.head = DepthHead(shape.head)
        self.cam_dec = _CameraDecoder(shape.head.inputs) if shape.has_cameras else None

    def forward(
        self, pixels: Tensor, strategy: Strategy = "saddle_balanced", *, with_rays: bool = False
    ) -> Seen:
        """What it says of pictures [V, 3, H, W] of one scene, as `standardised` makes them."""
        encoder = self.backbone["pretrained"]
        rows, columns = pixels.shape[-2] // PATCH, pixels.shape[-1] // PATCH
        hidden: list[Hidden] = encoder(pixels[None], self.shape.taken, strategy)
        tokens = [self._tokens(h) for h in hidden]
        maps = self.head(tokens, rows, columns, with_rays=with_rays)
        cameras = None
        if self.cam_dec is not None:
            last = hidden[-1]
            cameras = self.cam_dec(torch.cat((last.own[0, :, 0], last.joint[0, :, 0]), dim=-1))
        return Seen(maps, cameras)

    def _tokens(self, hidden: Hidden) -> Tensor:
        """Of patches [V, T, C]: what they say together, after what each picture says alone."""
        encoder: nn.Module = self.backbone["pretrained"]
        normed: Tensor = encoder.get_submodule("norm")(hidden.joint[0, :, 1:])
        if not self.shape.head.is_joint:
            return normed
        return torch.cat((hidden.own[0, :, 1:], normed), dim=-1)


class _CameraDecoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.fc_t = nn.Linear(width, 3)
        self.fc_qvec = nn.Linear(width, 4)
        self.fc_fov = nn.Sequential(nn.Linear(width, 2), nn.ReLU())

    def forward(self, tokens: Tensor) -> Tensor:
        said = self.backbone(tokens)
        parts = (self.fc_t(said), self.fc_qvec(said), self.fc_fov(said))
        return torch.cat(parts, dim=-1).float()
