"""Pictures and films for vision models of Qwen: sizes, patches, and positions in a text.

The formulas are those of transformers' processors of Qwen2-VL and later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.families.language.seeing import Arranged, Seen, Span, resized
from models.text.chunks import Picture

MERGE: Final = 2  # patches along each side that become one token
FRAMES: Final = 2  # of a film that become one
FILM_RATE: Final = 24.0  # frames a second of films, which do not say it
SEEN_RATE: Final = 2.0  # frames a second that are looked at
_LEAST_FRAMES: Final = 4
_MOST_FRAMES: Final = 768
_LONGEST: Final = 200  # times as long as wide
_PICTURE_TOKENS: Final = (4, 16_384)  # least and most, in the settings published with the models
_FRAME_TOKENS: Final = (128, 768)
_FILM_TOKENS: Final = 16_384

IMAGE_FRAME: Final = "<|vision_start|><|image_pad|><|vision_end|>"
IMAGE_MARK: Final = "<|image_pad|>"


@dataclass(frozen=True, kw_only=True)
class Retina:
    """What a vision model takes: patches of so many pixels, and colours as it was trained with."""

    patch: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    def patches(self, picture: Picture) -> tuple[Tensor, tuple[int, int, int]]:
        """(patches [N, 3 x 2 x patch x patch], (frames, rows, columns)); rows of merged patches.

        Raises InvalidInput for a picture that is no more than a line.
        """
        frames = picture.frames
        height, width = self.size(picture)
        pictures = resized(frames, height, width, "bicubic")
        mean, deviation = (
            torch.tensor(values, device=frames.device).view(3, 1, 1)
            for values in (self.mean, self.deviation)
        )
        return _patches((pictures - mean) / deviation, self.patch)

    def size(self, picture: Picture) -> tuple[int, int]:
        """Height and width at which a picture, or each frame of a film, is looked at."""
        if picture.is_video:
            return self.film_size(picture.frames)
        return self._size(picture.frames, *_PICTURE_TOKENS)

    def tokens(self, picture: Picture) -> int:
        """How many tokens a picture becomes."""
        height, width = self.size(picture)
        side = self.patch * MERGE
        return -(-len(picture.frames) // FRAMES) * (height // side) * (width // side)

    def film_size(self, frames: Tensor) -> tuple[int, int]:
        """Height and width at which frames of a film are looked at: fewer may be larger."""
        least, most = _FRAME_TOKENS
        share = _FILM_TOKENS * FRAMES // len(frames)
        return self._size(frames, least, max(min(most, share), math.ceil(1.05 * least)))

    def _size(self, frames: Tensor, least: int, most: int) -> tuple[int, int]:
        """The size near that of frames that is whole tokens, between `least` and `most` of them."""
        height, width = frames.shape[1:3]
        factor = self.patch * MERGE
        if max(height, width) > _LONGEST * min(height, width):
            raise InvalidInput(
                f"a picture of {width} x {height} pixels is too long to be looked at"
            )
        area = factor * factor
        rows, columns = round(height / factor), round(width / factor)
        if rows * columns > most:
            scale = math.sqrt(height * width / (most * area))
            rows = max(1, math.floor(height / scale / factor))
            columns = max(1, math.floor(width / scale / factor))
        elif rows * columns < least:
            scale = math.sqrt(least * area / (height * width))
            rows = math.ceil(height * scale / factor)
            columns = math.ceil(width * scale / factor)
        return rows * factor, columns * factor


def _patches(pictures: Tensor, patch: int) -> tuple[Tensor, tuple[int, int, int]]:
    """Patches of [F, C, H, W], those that become one token one after another."""
    missing = -len(pictures) % FRAMES
    whole = torch.cat([pictures, pictures[-1:].expand(missing, -1, -1, -1)])
    times, rows, columns = len(whole) // FRAMES, whole.shape[2] // patch, whole.shape[3] // patch
    cut = whole.reshape(
        times, FRAMES, 3, rows // MERGE, MERGE, patch, columns // MERGE, MERGE, patch
    )
    ordered = cut.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return ordered.reshape(times * rows * columns, -1), (times, rows, columns)


def outer_name(name: str) -> str:
    """As files have vision models of Qwen."""
    return f"visual.{name}"


def look(vision: Any, patches: Tensor, grid: tuple[int, int, int]) -> Any:
    """What a vision model makes of patches, and of its first layers where it tells that, too."""
    weight = vision.patch_embed.proj.weight
    grids = torch.tensor([grid], device=weight.device)
    return vision(patches.to(weight.device, weight.dtype), grid_thw=grids)


def merged(grid: tuple[int, int, int]) -> tuple[int, int, int]:
    """A grid of patches as one of tokens."""
    return grid[0], grid[1] // MERGE, grid[2] // MERGE


def sampled(film: Picture) -> tuple[Tensor, Tensor]:
    """(frames, their numbers) of a film that are looked at."""
    total = len(film.frames)
    count = min(max(int(total / FILM_RATE * SEEN_RATE), _LEAST_FRAMES), _MOST_FRAMES, total)
    numbers = torch.linspace(0, total - 1, count, dtype=torch.float64).round().long()
    return film.frames[numbers.to(film.frames.device)], numbers


def positions(length: int, spans: Sequence[Span]) -> Tensor:
    """Positions [3, 1, T] in time, height and width of a sequence with pictures in it.

    Text goes on in all three. A picture is as far away as its longer side; see Qwen2-VL, arXiv
    2409.12191, section 2.1.
    """
    parts: list[Tensor] = []
    number, begin = 0, 0
    for span in spans:
        text = torch.arange(span.start - number) + begin
        parts.append(text.expand(3, -1))
        begin += len(text)
        times, rows, columns = span.seen.grid
        steps = torch.arange(times) * span.seen.time_step
        axes = torch.meshgrid(steps, torch.arange(rows), torch.arange(columns), indexing="ij")
        parts.append(torch.stack(axes).reshape(3, -1) + begin)
        begin += max(rows, columns)
        number = span.stop
    parts.append((torch.arange(length - number) + begin).expand(3, -1))
    return torch.cat(parts, dim=1).unsqueeze(1)


def arrange(model: Any, embeds: Tensor, spans: Sequence[Span]) -> Arranged:
    """A sequence with its positions, and with what first layers of the vision model have seen."""
    found = positions(embeds.shape[1], spans)
    arguments: dict[str, Any] = {"position_ids": found.to(embeds.device)}
    if spans and spans[0].seen.deeper:
        is_seen = torch.zeros(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        for span in spans:
            is_seen[:, span.start : span.stop] = True
        levels = zip(*(span.seen.deeper for span in spans), strict=True)
        arguments["visual_pos_masks"] = is_seen
        arguments["deepstack_visual_embeds"] = [torch.cat(level).to(embeds) for level in levels]
    ahead = embeds.shape[1] - 1 - int(found.max())
    return Arranged(embeds=embeds, arguments=arguments, ahead=ahead)


def seen(made: Any, grid: tuple[int, int, int], time_step: int = 1) -> Seen:
    """What a vision model has said of one picture."""
    return Seen(
        features=made.pooler_output,
        grid=merged(grid),
        deeper=tuple(getattr(made, "deepstack_features", None) or ()),
        time_step=time_step,
    )
