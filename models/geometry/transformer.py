"""The vision transformer DINOv2, of which MoGe and Depth Anything 3 are made.

M. Oquab et al., "DINOv2: Learning robust visual features without supervision", 2023
(arXiv:2304.07193). With Depth Anything 3 (H. Lin et al. 2025, arXiv:2511.10647), pictures of one
scene attend to one another in later blocks. Parameters have the names of the authors' files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.geometry.reference_views import Strategy, first, in_order_again, reference_view

PATCH: Final = 14  # pixels along each side
_HEAD: Final = 64  # channels
_OFFSET: Final = 0.1  # patches, which the authors add to the grid that positions are scaled to
_BASE: Final = 100.0  # of the frequencies of rotations
_MANY: Final = 3  # views, from which on one of them is chosen as the reference
# Of red, green and blue in ImageNet.
_MEAN: Final = (0.485, 0.456, 0.406)
_DEVIATION: Final = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class TransformerShape:
    """What tells such transformers apart."""

    width: int
    blocks: int
    hidden: int  # channels inside of each block's network
    grid: int  # patches along each side of the pictures in training
    is_gated: bool = False  # SwiGLU in place of GELU
    registers: int = 0
    joint_from: int | None = None  # blocks from here on see all pictures of a scene in turns
    last_epsilon: float = 1e-6  # of the last norm


class Hidden(NamedTuple):
    """Tokens [B, V, 1 + patches, width] behind a block."""

    own: Tensor  # behind the last block that saw each picture alone
    joint: Tensor


def standardised(pixels: Tensor) -> Tensor:
    """Pictures [..., 3, H, W] in 0..1 as the network takes them."""
    mean, deviation = (pixels.new_tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
    return (pixels - mean) / deviation


class Transformer(nn.Module):
    """Tokens of pictures: one for each, and one for each of its patches."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.shape = shape
        width, grid = shape.width, shape.grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, width))
        if shape.registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, shape.registers, width))
        if shape.joint_from is not None:
            self.camera_token = nn.Parameter(torch.zeros(1, 2, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, PATCH)})
        joint_from = shape.blocks if shape.joint_from is None else shape.joint_from
        self.blocks = nn.ModuleList(_Block(shape, i >= joint_from) for i in range(shape.blocks))
        self.norm = nn.LayerNorm(width, eps=shape.last_epsilon)

    def forward(
        self, pixels: Tensor, taken: Sequence[int], strategy: Strategy = "first"
    ) -> list[Hidden]:
        """What lies behind these blocks, of V pictures of B scenes [B, V, 3, H, W].

        H and W are multiples of PATCH, pixels as `standardised` makes them. Of several pictures the
        camera of one is the reference, chosen by `strategy`.
        """
        scenes, views, _, height, width = pixels.shape
        rows, columns = height // PATCH, width // PATCH
        tokens = self._tokens(pixels.flatten(0, 1), rows, columns)
        tokens = tokens.reshape(scenes, views, *tokens.shape[1:])
        places = _places(rows, columns, tokens.device)
        joint_from, chosen = self.shape.joint_from, None
        own, found = tokens, []
        for i, block in enumerate(self.blocks):
            if joint_from is not None and i == joint_from - 1 and views >= _MANY:
                chosen = reference_view(tokens[:, :, 0], strategy)
                tokens, own = first(tokens, chosen), first(own, chosen)
            if joint_from is not None and i == joint_from:
                tokens = torch.cat((self._cameras(scenes, views), tokens[:, :, 1:]), dim=2)
            if joint_from is not None and i >= joint_from and i % 2:
                everywhere = places.clamp(max=1).repeat(views, 1)
                tokens = block(tokens.flatten(1, 2), everywhere).reshape(tokens.shape)
            else:
                tokens = block(tokens.flatten(0, 1), places).reshape(tokens.shape)
                own = tokens
            if i in taken:
                parts = (own, tokens)
                if chosen is not None:
                    parts = (in_order_again(own, chosen), in_order_again(tokens, chosen))
                found.append(Hidden(*(self._without_registers(part) for part in parts)))
        return found

    def _tokens(self, pixels: Tensor, rows: int, columns: int) -> Tensor:
        """[B, 1 + registers + patches, width]."""
        patches = self.patch_embed["proj"](pixels).flatten(2).mT
        tokens = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), dim=1)
        tokens = tokens + self._positions(rows, columns)
        if not self.shape.registers:
            return tokens
        registers = self.register_tokens.expand(len(tokens), -1, -1)
        return torch.cat((tokens[:, :1], registers, tokens[:, 1:]), dim=1)

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Those of training, scaled to another grid."""
        grid = self.shape.grid
        if (rows, columns) == (grid, grid):
            return self.pos_embed
        learned = self.pos_embed[:, 1:].float().reshape(1, grid, grid, -1).movedim(-1, 1)
        factors = ((rows + _OFFSET) / grid, (columns + _OFFSET) / grid)
        scaled = functional.interpolate(learned, scale_factor=factors, mode="bicubic")
        places = scaled.flatten(2).mT.to(self.pos_embed)
        return torch.cat((self.pos_embed[:, :1], places), dim=1)

    def _cameras(self, scenes: int, views: int) -> Tensor:
        """[B, V, 1, width]: a token for the reference, and one for each other view."""
        kinds = torch.ones(views, dtype=torch.long, device=self.camera_token.device)
        kinds[0] = 0
        return self.camera_token[:, kinds, None].expand(scenes, -1, -1, -1)

    def _without_registers(self, tokens: Tensor) -> Tensor:
        if not self.shape.registers:
            return tokens
        return torch.cat((tokens[:, :, :1], tokens[:, :, 1 + self.shape.registers :]), dim=2)


def _places(rows: int, columns: int, device: torch.device) -> Tensor:
    """Row and column [1 + patches, 2] of each token, from 1; 0 for that of the whole picture."""
    grid = torch.cartesian_prod(
        torch.arange(1, rows + 1, device=device), torch.arange(1, columns + 1, device=device)
    )
    return torch.cat((grid.new_zeros(1, 2), grid))


class _Block(nn.Module):
    def __init__(self, shape: TransformerShape, is_joint: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.width, eps=1e-6)
        self.attn = _Attention(shape.width, is_joint)
        self.ls1 = _Scale(shape.width)
        self.norm2 = nn.LayerNorm(shape.width, eps=1e-6)
        self.mlp = (_Gated if shape.is_gated else _Feedforward)(shape.width, shape.hidden)
        self.ls2 = _Scale(shape.width)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens), places))
        changed: Tensor = tokens + self.ls2(self.mlp(self.norm2(tokens)))
        return changed


class _Attention(nn.Module):
    def __init__(self, width: int, is_joint: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.is_joint = is_joint  # its queries and keys are normalised, and turned by their places
        self.q_norm = nn.LayerNorm(_HEAD) if is_joint else nn.Identity()
        self.k_norm = nn.LayerNorm(_HEAD) if is_joint else nn.Identity()

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        split = self.qkv(tokens).unflatten(-1, (3, -1, _HEAD)).permute(2, 0, 3, 1, 4)  # 3 b h n c
        query, key, value = self.q_norm(split[0]), self.k_norm(split[1]), split[2]
        if self.is_joint:
            query, key = _turned(query, places), _turned(key, places)
        seen = functional.scaled_dot_product_attention(query, key, value)
        made: Tensor = self.proj(seen.transpose(1, 2).flatten(2))
        return made


def _turned(values: Tensor, places: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021): rows turn one half of channels, columns the other."""
    half = values.shape[-1] // 2
    exponents = torch.arange(0, half, 2, device=values.device).float() / half
    angles = places[:, :, None] * _BASE**-exponents  # n 2 c
    cosine, sine = (f(angles).repeat(1, 1, 2).to(values) for f in (torch.cos, torch.sin))
    parts = values.reshape(*values.shape[:-1], 2, half)
    low, high = parts.chunk(2, dim=-1)
    turned = parts * cosine + torch.cat((-high, low), dim=-1) * sine
    return turned.flatten(-2)


class _Feedforward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        made: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return made


class _Gated(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        gate, values = self.w12(tokens).chunk(2, dim=-1)
        made: Tensor = self.w3(functional.silu(gate) * values)
        return made


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens * self.gamma
