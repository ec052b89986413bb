"""The refiner of Stable Diffusion XL: OpenCLIP-bigG alone, and a score of beauty."""

from __future__ import annotations

from dataclasses import replace

from models.families import sdxl
from models.protocol.class_vectors import SDXLRefiner
from models.text.combinations import sdxl_refiner_text
from models.weights import Weights


def recognise(weights: Weights) -> bool:
    """A network of the kind whose prompt comes from one text encoder."""
    return sdxl.is_sdxl_like(weights) and sdxl.is_refiner(weights)


FAMILY = replace(
    sdxl.FAMILY,
    name="sdxl_refiner",
    recognise=recognise,
    build_text=sdxl_refiner_text,
    base_model=SDXLRefiner,
)
