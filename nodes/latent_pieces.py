"""Nodes that have SeedVR2 restore a long film piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from models.devices import free_bytes
from models.errors import InvalidInput
from nodes.base import Declared, inputs
from nodes.schema import DynamicNode, SchemaNode, opening
from nodes.tensors.latent_pieces import joined_pieces, pieces_of
from nodes.tensors.latents import Latent, with_samples

_OVERLAP: Final[Declared] = ("INT", {"default": 0, "min": 0, "max": 16384})
_FRAMES: Final = 4  # of a film for each latent frame but the first
_TOKEN: Final = 4  # latent elements: two rows of two
# A dozen tensors of a token's 2560 numbers in two bytes each: what a block of the smaller network
# holds at once.
_BYTES_A_TOKEN: Final = 12 * 2560 * 2


class SeedVR2TemporalChunk(DynamicNode):
    """Cuts the latent of a film along time into pieces that overlap."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_seedvr"
    CATEGORY = "latent/video"
    REQUIRED = inputs(
        latent=("LATENT",),
        temporal_overlap=_OVERLAP,
        chunking_mode=opening(
            {
                "auto": inputs(),
                "manual": inputs(
                    frames_per_chunk=("INT", {"default": 21, "min": 1, "max": 16384, "step": 4})
                ),
            }
        ),
    )
    RETURN_TYPES = ("LATENT", "INT")
    RETURN_NAMES = ("latents", "temporal_overlap")
    OUTPUT_IS_LIST: ClassVar[tuple[bool, ...]] = (True, False)

    def run(
        self, latent: Latent, temporal_overlap: int, chunking_mode: Mapping[str, Any]
    ) -> tuple[list[dict[str, Any]], int]:
        """The overlap is in latent frames, and at most a frame less than a piece.

        `frames_per_chunk` counts frames of the film; `auto` takes as many as the free memory of
        the device that models run on has room for. A film that is no longer is one piece.
        """
        film = latent["samples"]
        if film.ndim != 5 or not film.numel():
            raise InvalidInput(
                f"pieces are cut of the latent of a film, not of one of the shape "
                f"{list(film.shape)}"
            )
        if chunking_mode["chunking_mode"] == "manual":
            length = (chunking_mode["frames_per_chunk"] - 1) // _FRAMES + 1
        else:
            room = free_bytes(self.context.policy.device)
            length = max(1, room * _TOKEN // (_BYTES_A_TOKEN * film[0, 0, 0].numel()))
        if film.shape[2] <= length:
            return [dict(latent)], 0
        overlap = min(temporal_overlap, length - 1)
        rest = {k: v for k, v in latent.items() if k != "noise_mask"}
        return [with_samples(rest, piece) for piece in pieces_of(film, length, overlap)], overlap


class SeedVR2TemporalMerge(SchemaNode):
    """Puts the pieces of a film together, one fading into the next where they overlap."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_seedvr"
    CATEGORY = "latent/video"
    INPUT_IS_LIST: ClassVar[bool] = True
    REQUIRED = inputs(latents=("LATENT",), temporal_overlap=_OVERLAP)
    RETURN_TYPES = ("LATENT",)
    RETURN_NAMES = ("latent",)

    def run(
        self, latents: Sequence[Latent], temporal_overlap: Sequence[int]
    ) -> tuple[dict[str, Any]]:
        """The overlap is in latent frames; everything but the samples is the first piece's."""
        film = joined_pieces([latent["samples"] for latent in latents], temporal_overlap[0])
        return (with_samples(latents[0], film),)
