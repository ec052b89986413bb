"""How MiniMax-H3 asks Qwen3-VL: labelled pictures and films, then the prompt, without a template.

As in diffusers' modular pipeline. Tokens of pictures, and the marks around them, are told to the
transformer as those of films.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.families.language.qwen3_vl import QWEN3_VL, RETINA
from models.families.language.qwen_pictures import FILM_RATE, FRAMES, IMAGE_FRAME, SEEN_RATE
from models.families.language.seeing import resized
from models.protocol.minimax_h3_layout import FILM, TEXT, Given
from models.text.chunks import Picture, Token
from models.text.handle import Conditioning, TextHandle
from models.text.language.asking import language_model_of
from models.text.language.encoder import LanguageEncoder

_STRIDE: Final = round(FILM_RATE / SEEN_RATE)  # frames between those that are looked at


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What the transformer is given, and how the language model sees it: sounds are not heard."""

    given: Given
    frames: Tensor | None = None  # [T, H, W, 3] in 0..1; None: a sound

    def pieces(self, counts: dict[str, int]) -> Iterator[tuple[str, Picture | None]]:
        """Texts, and pictures after them; `counts` are those of references so far."""
        if self.given.sound is not None:
            yield _label("Audio", counts), None
        if self.frames is None:
            return
        if len(self.frames) == 1:
            yield _label("Picture", counts), Picture(frames=self.frames)
            return
        yield _label("Video", counts), None
        yield from _looked_at(self.frames)


def _label(kind: str, counts: dict[str, int]) -> str:
    counts[kind] = counts.get(kind, 0) + 1
    return f"<{kind} {counts[kind]}>: "


def _looked_at(film: Tensor) -> Iterator[tuple[str, Picture]]:
    """Two frames a second, in pairs, each after the second that is between them."""
    frames = film[::_STRIDE]
    frames = resized(frames, *RETINA.film_size(frames), "bicubic").movedim(1, -1)
    seconds = [number / SEEN_RATE for number in range(len(frames))]
    if len(frames) % FRAMES:
        frames, seconds = torch.cat([frames, frames[-1:]]), [*seconds, seconds[-1]]
    for place in range(0, len(frames), FRAMES):
        between = sum(seconds[place : place + FRAMES]) / FRAMES
        picture = Picture(frames=frames[place : place + FRAMES], is_video=True)
        yield f"<{between:.1f} seconds>", picture


def asked(clip: TextHandle, prompt: str, references: Sequence[Reference]) -> Conditioning:
    """The CONDITIONING of a prompt with what it refers to, in order.

    It has a `token_tags` for each token, and `given`, which the transformer sees. Raises
    InvalidInput for another language model than Qwen3-VL, and where there are no tokens.
    """
    encoder = language_model_of(clip)
    if encoder.kind is not QWEN3_VL:
        raise InvalidInput(
            f"MiniMax-H3 asks Qwen3-VL, not '{encoder.kind.name}': load it with the type 'minimax'"
        )
    counts: dict[str, int] = {}
    pieces = [piece for reference in references for piece in reference.pieces(counts)]
    tokens, tags = _told(encoder, [*pieces, (prompt, None)])
    if not tokens:
        raise InvalidInput("MiniMax-H3 needs a prompt, or something to refer to")
    keys = [key for key, found in clip.encoders.items() if found is encoder]
    options: dict[str, Any] = {
        "token_tags": tuple(tags),
        "given": tuple(reference.given for reference in references),
    }
    return clip.conditioning({key: [tokens] for key in keys}, options)


def _told(
    encoder: LanguageEncoder, pieces: Sequence[tuple[str, Picture | None]]
) -> tuple[list[Token], list[int]]:
    """Tokens, and the tag of each row that they become."""
    tokens: list[Token] = []
    tags: list[int] = []
    for text, picture in pieces:
        found = encoder.tokenizer.tokens(text)
        tokens += found
        tags += [TEXT] * len(found)
        if picture is not None:
            found = encoder.tokenizer.tokens(IMAGE_FRAME, [picture])
            tokens += found
            tags += [FILM] * (len(found) - 1 + RETINA.tokens(picture))
    return tokens, tags
