"""Tiny checkpoints of Stable Diffusion XL and its refiner, in the original layout."""

from __future__ import annotations

from typing import Any, Final

from torch import Tensor

from tests.models.text import encoders
from tests.models.tiny import TinyModel

SMALL, LARGE, POOLED = 64, 128, 32  # widths of the text encoders, and of the pooled prompt
SDXL: Final = TinyModel(channels=(8, 16, 32), depths=(0, 1, 2), middle_depth=2, is_linear=True,
                        context=SMALL + LARGE, label=POOLED + 6 * 256)  # fmt: skip
# Its context is as wide as its pooled prompt, as in the published one.
REFINER: Final = TinyModel(channels=(8, 16, 16), depths=(0, 2, 0), middle_depth=2, is_linear=True,
                           context=LARGE, label=LARGE + 5 * 256)  # fmt: skip
INPAINTING: Final = TinyModel(channels=(8, 16, 32), depths=(0, 1, 2), middle_depth=2,
                              is_linear=True, context=SMALL + LARGE, label=POOLED + 6 * 256,
                              in_channels=9)  # fmt: skip


def text_of_sdxl() -> dict[str, Any]:
    """Both text encoders, by the prefixes of their weights."""
    small = encoders.clip(width=SMALL, projected=None)
    inner = "" if hasattr(small, "text_model") else "text_model."  # by transformers' release
    return {
        f"conditioner.embedders.0.transformer.{inner}": small,
        "conditioner.embedders.1.model.": encoders.open_clip(width=LARGE, projected=POOLED),
    }


def text_of_refiner() -> dict[str, Any]:
    """The refiner's text encoder, by the prefix of its weights."""
    return {"conditioner.embedders.0.model.": encoders.open_clip(width=LARGE, projected=LARGE)}


def checkpoint(model: TinyModel, text: dict[str, Any]) -> dict[str, Tensor]:
    """A checkpoint in the original layout; `stated` says what its shapes do not."""
    return {
        **{f"model.diffusion_model.{name}": tensor for name, tensor in model.unet().items()},
        **{f"first_stage_model.{name}": tensor for name, tensor in model.vae().items()},
        **encoders.tensors_of(text),
    }


def stated(model: TinyModel, **said: Any) -> dict[str, Any]:
    """The metadata of such a checkpoint; `said` is of its UNet."""
    return {"unet": model.config["unet"] | said, "vae": model.config["vae"]}
