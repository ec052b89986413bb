"""Networks that enlarge pictures. Their architectures are those of the library spandrel.

What flows through UPSCALE_MODEL sockets is spandrel's own descriptor, which node packs know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from models.errors import InvalidInput, UnknownModelFamily
from models.memory import Policy
from models.out_of_memory import first_that_fits
from models.tiles import count_tiles, scale_in_tiles
from models.weights import read_document

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

_TILE: Final = 512  # pixels along each side
_LEAST_TILE: Final = 128
_OVERLAP: Final = 32
# Beside its weights a network needs about so many numbers for every one that it makes.
_WORKING_FACTOR: Final = 384


def load_upscale_model(path: Path) -> ImageModelDescriptor:
    """The network of a file, in float32 on the CPU.

    Raises ModelFileError: also UnknownModelFamily for a network that spandrel does not know, or
    that makes no picture of a picture.
    """
    from spandrel import (
        MAIN_REGISTRY,
        ImageModelDescriptor,
        ModelLoader,
        UnsupportedModelError,
        canonicalize_state_dict,
    )

    tensors = canonicalize_state_dict(dict(read_document(path)))
    try:
        descriptor = ModelLoader().load_from_state_dict(tensors)
    except UnsupportedModelError:
        descriptor = None
    if not isinstance(descriptor, ImageModelDescriptor):
        known = [support.architecture.name for support in MAIN_REGISTRY.architectures()]
        raise UnknownModelFamily(path, known, next(iter(tensors), "none at all"))
    return descriptor.eval()


def upscale(
    model: ImageModelDescriptor,
    image: Tensor,
    policy: Policy,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Pictures [B, H, W, C >= 3] in 0..1 enlarged, [B, H', W', 3] float32 on the CPU.

    In tiles; where memory does not suffice, in smaller ones. `progress` gets the tiles that are
    done and all of them, and may raise to end the work. Raises InvalidInput for pictures that the
    network does not take, and torch.OutOfMemoryError where even small tiles are too much.
    """
    pixels = image[..., :3].movedim(-1, 1)  # b c h w
    if pixels.shape[1] != model.input_channels:
        raise InvalidInput(
            f"this network takes pictures of {model.input_channels} channels, not {pixels.shape[1]}"
        )
    weights = sum(parameter.nbytes for parameter in model.model.parameters())
    picture = _TILE * _TILE * pixels.element_size() * _WORKING_FACTOR
    policy.residents.free(weights + picture, policy.device)

    def attempts() -> Iterator[tuple[str, Callable[[], Tensor]]]:
        tile = _TILE
        while tile == _TILE or tile >= _LEAST_TILE:
            run = partial(_in_tiles, model, pixels, policy.device, tile, progress)
            yield f"in tiles of {tile} pixels", run
            policy.residents.empty_cache(policy.device)
            tile //= 2

    try:
        model.to(policy.device)
        return first_that_fits(attempts()).clamp_(0, 1).movedim(1, -1)
    finally:
        model.to("cpu")


def _in_tiles(
    model: ImageModelDescriptor,
    pixels: Tensor,
    device: torch.device,
    tile: int,
    progress: Callable[[int, int], None],
) -> Tensor:
    done, total = 0, pixels.shape[0] * count_tiles(pixels.shape[-2:], (tile, tile), _OVERLAP)

    def enlarge(part: Tensor) -> Tensor:
        nonlocal done
        enlarged: Tensor = model(part.to(device, torch.float32))
        done += 1
        progress(done, total)
        return enlarged.cpu()

    return scale_in_tiles(
        pixels, enlarge, tile=(tile, tile), overlap=_OVERLAP, scale=(model.scale, 1)
    )
