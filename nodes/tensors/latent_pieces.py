"""Latents of films cut along time into pieces that overlap, and put together again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from models.errors import InvalidInput

_TIME = 2  # the axis of [B, C, T, h, w]


def pieces_of(film: Tensor, length: int, overlap: int) -> list[Tensor]:
    """Pieces [B, C, length, h, w] that share `overlap` frames with the next one; the last is
    what is left. `overlap` is below `length`."""
    frames = film.shape[_TIME]
    pieces, start = [], 0
    while True:
        pieces.append(film.narrow(_TIME, start, min(length, frames - start)))
        if start + length >= frames:
            return pieces
        start += length - overlap


def joined_pieces(pieces: Sequence[Tensor], overlap: int) -> Tensor:
    """What `pieces_of` was given: over the overlap one piece fades into the next along half a
    Hann window."""
    film = pieces[0]
    for piece in pieces[1:]:
        if film.shape[:_TIME] != piece.shape[:_TIME] or film.shape[3:] != piece.shape[3:]:
            raise InvalidInput(
                f"pieces of one film differ in their time alone: {list(film.shape)} and "
                f"{list(piece.shape)} do not fit together"
            )
        shared = min(overlap, film.shape[_TIME], piece.shape[_TIME])
        parts = [film.shape[_TIME] - shared, shared]
        before, ending = torch.split(film, parts, dim=_TIME)
        parts = [shared, piece.shape[_TIME] - shared]
        beginning, after = torch.split(piece, parts, dim=_TIME)
        film = torch.cat((before, torch.lerp(ending, beginning, _rise(shared, film)), after), _TIME)
    return film


def _rise(count: int, like: Tensor) -> Tensor:
    """The rising half of a Hann window without its 0 and 1, to multiply [B, C, count, h, w]."""
    places = torch.arange(1, count + 1, dtype=torch.float32, device=like.device) / (count + 1)
    return ((1 - (places * math.pi).cos()) / 2).to(like.dtype).view(-1, 1, 1)
