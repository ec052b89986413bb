"""What the worker and the process that runs shaders say to each other.

A descriptor of memory for the pixels follows a request: those of its textures, then of its targets,
float32 rows, the lowest first, as OpenGL has them.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

RGBA: Final = 4  # channels
START_LIMIT_S: Final = 60.0  # of the process: drivers read much from disk


class Texture(msgspec.Struct, frozen=True):
    """Pixels for a sampler."""

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

    @property
    def counts(self) -> list[int]:
        """The values of each texture and each target, which is RGBA."""
        taken = [texture.width * texture.height * texture.channels for texture in self.textures]
        return taken + [self.width * self.height * RGBA] * self.targets


class Ready(msgspec.Struct, frozen=True, tag=True):
    """OpenGL is there. The first answer of a process."""

    driver: str  # as it names itself
    longest_side: int  # of a picture


class Drawn(msgspec.Struct, frozen=True, tag=True):
    """It is done: the pixels of the targets are there."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """It cannot be done."""

    reason: str


Answer: TypeAlias = Ready | Drawn | Failed
