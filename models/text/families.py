"""Which text encoders a model family has, and how it uses them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.text.chunks import CLIP_G, CLIP_L, T5, ChunkFormat, Token
from models.text.encoder import Chunks
from models.text.joining import (
    Encoded,
    Joined,
    alone,
    apart,
    one_after_another,
    side_by_side,
    tokens_alone,
)
from models.text.language.prompting import Prompting

FORMATS: Final[Mapping[str, ChunkFormat]] = {
    "l": CLIP_L, "g": CLIP_G, "h": CLIP_G, "t5xxl": T5, "umt5xxl": T5,
}  # fmt: skip

# The activation of each CLIP encoder, which shapes cannot tell.
ACTS: Final[Mapping[str, str]] = {"l": "quick_gelu", "g": "gelu", "h": "gelu"}


@dataclass(frozen=True, kw_only=True)
class Use:
    """How a family uses one encoder."""

    prefixes: tuple[str, ...]  # of its weights in checkpoints; files are written with the first
    is_open_clip: bool = False  # whether they are in open_clip's layout there
    layer: int = -1  # whose output is used, from the end (CLIP)
    is_normalised: bool = True  # whether that goes through the final norm (CLIP)
    is_projected: bool = False  # whether the pooled output goes through the projection (CLIP)
    minimum: int = 0  # fewest tokens of a prompt (T5)
    padding: int = 0  # fewest pads after a prompt (T5)
    hides_pads: bool = False  # whether nothing attends to these (T5)
    prompting: Prompting | None = None  # how a language model is asked


@dataclass(frozen=True, kw_only=True)
class Combination:
    """A model family's text encoders."""

    name: str
    uses: Mapping[str, Use]  # by encoder, in the order in which LoRA files count them
    join: Callable[[Encoded], Joined]
    is_partial: bool = False  # whether encoders may be missing

    def even(self, chunks: Chunks) -> dict[str, Sequence[Sequence[Token]]]:
        """As many chunks for every CLIP encoder, by chunks of the empty prompt."""
        most = max((len(found) for key, found in chunks.items() if _length(key)), default=0)
        return {
            key: [*found, *[FORMATS[key].empty(length)] * (most - len(found))]
            if (length := _length(key))
            else found
            for key, found in chunks.items()
        }


def _length(key: str) -> int | None:
    """Tokens of a chunk; None for encoders that take any number."""
    return FORMATS[key].length if key in FORMATS else None


def _apart(name: str) -> tuple[str, ...]:
    """Prefixes of an encoder in checkpoints that name their encoders."""
    return (f"text_encoders.{name}.transformer.", f"text_encoders.{name}.", f"{name}.transformer.")


SD1: Final = Combination(
    name="sd1",
    uses={"l": Use(prefixes=("cond_stage_model.transformer.", "text_encoder.", *_apart("clip_l")))},
    join=alone,
)
# The layer before the last one, through the norm after the last one, as in its authors' code.
SD2: Final = Combination(
    name="sd2",
    uses={
        "h": Use(
            prefixes=(
                "cond_stage_model.model.", "cond_stage_model.transformer.", "text_encoder.",
                *_apart("clip_h"),
            ),
            is_open_clip=True,
            layer=-2,
            is_projected=True,
        )
    },
    join=alone,
)  # fmt: skip
SDXL: Final = Combination(
    name="sdxl",
    uses={
        "l": Use(
            prefixes=(
                "conditioner.embedders.0.transformer.", "text_encoder.", *_apart("clip_l"),
            ),
            layer=-2,
            is_normalised=False,
        ),
        "g": Use(
            prefixes=("conditioner.embedders.1.model.", "text_encoder_2.", *_apart("clip_g")),
            is_open_clip=True,
            layer=-2,
            is_normalised=False,
            is_projected=True,
        ),
    },
    join=side_by_side,
)  # fmt: skip
SDXL_REFINER: Final = Combination(
    name="sdxl_refiner",
    uses={
        "g": Use(
            prefixes=("conditioner.embedders.0.model.", "text_encoder_2.", *_apart("clip_g")),
            is_open_clip=True,
            layer=-2,
            is_normalised=False,
            is_projected=True,
        )
    },
    join=alone,
)
SD3: Final = Combination(
    name="sd3",
    uses={
        "l": Use(prefixes=(*_apart("clip_l"), "text_encoder."), layer=-2, is_normalised=False),
        "g": Use(
            prefixes=(*_apart("clip_g"), "text_encoder_2."),
            layer=-2,
            is_normalised=False,
            is_projected=True,
        ),
        "t5xxl": Use(prefixes=(*_apart("t5xxl"), "text_encoder_3."), minimum=77),
    },
    join=one_after_another,
    is_partial=True,
)
FLUX: Final = Combination(
    name="flux",
    uses={
        "l": Use(prefixes=(*_apart("clip_l"), "text_encoder.")),
        "t5xxl": Use(prefixes=(*_apart("t5xxl"), "text_encoder_2."), minimum=256),
    },
    join=apart,
)
STABLE_AUDIO: Final = Combination(
    name="stable_audio",
    # Without pads: the model has zeros in their place, see models.protocol.stable_audio.
    uses={"t5xxl": Use(prefixes=(*_apart("t5base"), "text_encoder."))},
    join=tokens_alone,
)
# As in diffusers' ChromaPipeline: of the pads after a prompt the transformer sees the first alone.
CHROMA: Final = Combination(
    name="chroma",
    uses={"t5xxl": Use(prefixes=(*_apart("t5xxl"), "text_encoder."), padding=1, hides_pads=True)},
    join=tokens_alone,
)
WAN: Final = Combination(
    name="wan",
    uses={"umt5xxl": Use(prefixes=(*_apart("umt5xxl"), "text_encoder."), minimum=512)},
    join=tokens_alone,
)
