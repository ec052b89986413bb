"""Depth Anything 3 from files: its configuration is that of the tensors' shapes.

Which blocks are seen, shapes cannot tell: they are those of the published networks, unless the
file says it in its metadata (`darkroom.config`, part `geometry`: `out_layers`; of nested networks
the parts `anyview` and `metric`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch

from models.errors import UnknownModelFamily, UnsupportedLayout
from models.geometry.depth_anything import DepthAnything, DepthShape
from models.geometry.depth_head import HeadShape
from models.geometry.transformer_files import transformer_shape
from models.memory import Policy
from models.network import Network, assemble
from models.weights import Weights, open_weights

# Of the authors' configurations, by the number of blocks and whether pictures are seen together.
_TAKEN: Final[Mapping[tuple[int, bool], list[int]]] = {
    (24, False): [4, 11, 17, 23],
    (12, True): [5, 7, 9, 11],
    (24, True): [11, 15, 19, 23],
    (40, True): [19, 27, 33, 39],
}
_LEVELS: Final = 4
_LAST_EPSILON: Final = 1e-5


class Opened(NamedTuple):
    """The networks of a file."""

    network: Network[DepthAnything]
    metric: Network[DepthAnything] | None  # in nested ones: for single pictures, and in metres


def open_depth_anything(path: Path, policy: Policy, dtype: torch.dtype | None = None) -> Opened:
    """The networks of a file, which compute in a type if one is given. Raises ModelFileError."""
    weights = open_weights(path)
    prefixed = weights.below("model.")
    weights = prefixed if prefixed.tensors else weights
    nested = weights.below("da3_metric.")
    if not nested.tensors:
        return Opened(_network(weights, policy, dtype), None)
    network = _network(weights.below("da3."), policy, dtype, "anyview")
    metric = _network(nested, policy, dtype, "metric")
    if not network.module.shape.has_cameras or not metric.module.shape.head.has_sky:
        raise UnsupportedLayout(path, "its nested networks say nothing of cameras, or of the sky")
    return Opened(network, metric)


def _network(
    weights: Weights, policy: Policy, dtype: torch.dtype | None, part: str = "geometry"
) -> Network[DepthAnything]:
    path = weights.path
    if "backbone.pretrained.pos_embed" not in weights.tensors:
        known = ["Depth Anything 3"]
        raise UnknownModelFamily(path, known, next(iter(weights.tensors), "none at all"))
    shape = depth_shape(weights, part)
    computed = dtype or policy.denoiser_dtype(weights.main_dtype())
    return assemble(lambda: DepthAnything(shape), weights.tensors, computed, path)


def depth_shape(weights: Weights, part: str = "geometry") -> DepthShape:
    """The configuration of a network, of which metadata may have a part. Raises ModelFileError."""
    encoder = transformer_shape(weights.below("backbone.pretrained."), _LAST_EPSILON)
    head = weights.below("head.")
    is_joint = "scratch.refinenet1_aux.out_conv.weight" in head.tensors
    if is_joint != (encoder.joint_from is not None):
        raise UnsupportedLayout(weights.path, "its head does not belong to its transformer")
    usual = _TAKEN.get((encoder.blocks, is_joint))
    taken = weights.config(part).get("out_layers", usual)
    if not isinstance(taken, list) or len(taken) != _LEVELS:
        raise UnsupportedLayout(
            weights.path, f"which of its {encoder.blocks} blocks are seen is not known"
        )
    if not all(isinstance(i, int) and 0 <= i < encoder.blocks for i in taken):
        raise UnsupportedLayout(weights.path, f"of {encoder.blocks} blocks {taken} are not there")
    return DepthShape(
        encoder=encoder,
        taken=taken,
        head=HeadShape(
            inputs=head.shape("projects.0.weight", 4)[1],
            widths=[head.shape(f"projects.{i}.weight", 4)[0] for i in range(_LEVELS)],
            features=head.shape("scratch.layer1_rn.weight", 4)[0],
            is_joint=is_joint,
            has_sky="scratch.sky_output_conv2.0.weight" in head.tensors,
        ),
        has_cameras="cam_dec.fc_t.weight" in weights.tensors,
    )
