"""What the worker and the process that runs shaders say to each other.

Pixels follow a message as they are: float32 rows, the lowest first, as OpenGL has them.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

START_LIMIT_S: Final = 60.0  # of the process: drivers read much from disk


class Texture(msgspec.Struct, frozen=True):
    """Pixels that follow the message, for a sampler."""

    name: str  # of the uniform
    width: int
    height: int
    channels: int  # 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA


class Draw(msgspec.Struct, frozen=True, tag=True):
    """Run a shader for one picture of each of its outputs."""

    text: str
    passes: int
    targets: int  # outputs up to the last that is written
    width: int
    height: int
    limit_s: float  # how long it may take; the process ends itself after that
    values: dict[str, float | int | bool]  # uniforms
    textures: list[Texture]


class Ready(msgspec.Struct, frozen=True, tag=True):
    """OpenGL is there. The first answer of a process."""

    driver: str  # as it names itself
    longest_side: int  # of a picture


class Drawn(msgspec.Struct, frozen=True, tag=True):
    """It is done: RGBA pixels of each target follow."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It cannot be done."""

    reason: str


Answer: TypeAlias = Ready | Drawn | Failed
