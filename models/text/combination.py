"""Which text encoders a model family has, and how it uses them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.text.chunks import CLIP_G, CLIP_L, T5, ChunkFormat, Token
from models.text.encoder import Chunks
from models.text.joining import Encoded, Joined

FORMATS: Final[Mapping[str, ChunkFormat]] = {"l": CLIP_L, "g": CLIP_G, "h": CLIP_G, "t5xxl": T5}


@dataclass(frozen=True, kw_only=True)
class Use:
    """How a family uses one encoder."""

    prefixes: tuple[str, ...]  # of its weights in checkpoints
    layer: int = -1  # whose output is used, from the end (CLIP)
    is_normalised: bool = True  # whether that goes through the final norm (CLIP)
    is_projected: bool = False  # whether the pooled output goes through the projection (CLIP)
    minimum: int = 0  # fewest tokens of a prompt (T5)


@dataclass(frozen=True, kw_only=True)
class Combination:
    """A model family's text encoders."""

    name: str
    uses: Mapping[str, Use]  # by encoder, in the order in which LoRA files count them
    join: Callable[[Encoded], Joined]
    is_partial: bool = False  # whether encoders may be missing

    def even(self, chunks: Chunks) -> dict[str, Sequence[Sequence[Token]]]:
        """As many chunks for every CLIP encoder, by chunks of the empty prompt."""
        most = max((len(found) for key, found in chunks.items() if FORMATS[key].length), default=0)
        return {
            key: [*found, *[FORMATS[key].empty(length)] * (most - len(found))]
            if (length := FORMATS[key].length)
            else found
            for key, found in chunks.items()
        }
