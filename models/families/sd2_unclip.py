"""Stable Diffusion 2.1 unCLIP: the network of version 2, told a vector of pictures."""

from __future__ import annotations

from dataclasses import replace

from models.families import sd2
from models.families.ldm_unet import LABEL, has_finest_attention, has_linear_projections, unet_part
from models.protocol.unclip import UnclipModel
from models.weights import Weights


def recognise(weights: Weights) -> bool:
    """Attention at full resolution, transformers that begin with a matrix, a class vector."""
    unet = unet_part(weights)
    has_class = LABEL in unet.tensors
    return has_finest_attention(unet) and has_linear_projections(unet) and has_class


FAMILY = replace(sd2.FAMILY, name="sd2_unclip", recognise=recognise, base_model=UnclipModel)
