"""What an encoder hears in a sound, brought to the frames of a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

_HEARD: Final = 50  # states a second that encoders give
_BETWEEN: Final = 30  # a second, to which Wan's authors bring them first


def heard_in_frames(states: Sequence[Tensor], start: int, length: int, rate: int) -> Tensor:
    """The states [B, T, D] of each layer at frames from `start` on: [1, layers, D, length].

    As in Wan-S2V (Gao et al. 2025, arXiv:2508.18621): of the first sound, 50 states a second become
    30 by linear interpolation, of which each frame, `rate` a second, gets the nearest. After the
    end of the sound there are zeros.
    """
    heard = torch.stack([state[0].T for state in states])  # layers d t
    between = functional.interpolate(
        heard, size=max(1, heard.shape[-1] * _BETWEEN // _HEARD), mode="linear", align_corners=True
    )
    places = (torch.arange(start, start + length, dtype=torch.float64) * _BETWEEN / rate).round()
    is_there = places < between.shape[-1]
    nearest = between[..., places.long().clamp(max=between.shape[-1] - 1)]
    return (nearest * is_there.to(nearest))[None]
