"""MoGe's networks from files: their configuration is that of the tensors' shapes.

What shapes cannot tell is as in the authors' configurations, unless the file says it: theirs (.pt)
do, under `model_config`; others may in the same words, in their metadata (`darkroom.config`, part
`geometry`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

from models.errors import CheckpointUnreadable, UnknownModelFamily, UnsupportedLayout
from models.geometry.moge import (
    FirstMoGe,
    FirstShape,
    Norm,
    Remap,
    SecondMoGe,
    SecondShape,
    StackShape,
)
from models.geometry.transformer_files import transformer_shape
from models.memory import Policy
from models.network import Network, assemble
from models.weights import SAFETENSORS_SUFFIXES, Weights, open_weights, read_document

_FAMILIES: Final = ["MoGe", "MoGe-2"]
_FIRST_TOKENS: Final = (1200, 2500)
_SECOND_TOKENS: Final = (1200, 3600)
_NORMS: Final[Mapping[str, Norm]] = {"none": "none", "layer_norm": "layer", "group_norm": "group"}


def open_moge(path: Path, policy: Policy) -> Network[FirstMoGe | SecondMoGe]:
    """The network of a file. Raises ModelFileError, also for other versions of MoGe."""
    weights, stated = _opened(path)
    dtype = policy.denoiser_dtype(weights.main_dtype())
    if "head.output_block.0.0.weight" in weights.tensors:
        first = first_shape(weights, stated)
        return assemble(lambda: FirstMoGe(first), weights.tensors, dtype, path)
    if "encoder.output_projections.0.weight" in weights.tensors:
        second = second_shape(weights, stated)
        return assemble(lambda: SecondMoGe(second), weights.tensors, dtype, path)
    raise UnknownModelFamily(path, _FAMILIES, next(iter(weights.tensors), "none at all"))


def _opened(path: Path) -> tuple[Weights, Mapping[str, Any]]:
    """The tensors, and what the file states of the network."""
    if not path.is_file() or path.suffix.lower() in SAFETENSORS_SUFFIXES:
        weights = open_weights(path)
        stated: Mapping[str, Any] = weights.config("geometry")
    else:
        document = read_document(path)
        inner, said = document.get("model", document), document.get("model_config", {})
        if not isinstance(inner, Mapping) or not isinstance(said, Mapping):
            raise CheckpointUnreadable(path, "its tensors are not where MoGe has them")
        tensors = {str(k): v for k, v in inner.items() if hasattr(v, "shape")}
        weights, stated = Weights(path=path, tensors=tensors), said
    prefixed = weights.below("model.")
    return (prefixed if prefixed.tensors else weights), stated


def first_shape(weights: Weights, stated: Mapping[str, Any]) -> FirstShape:
    """The configuration of MoGe's first version."""
    encoder = transformer_shape(weights.below("backbone."))
    count = weights.count("head.projects.{}.")
    levels = weights.count("head.upsample_blocks.{}.")
    widths = [weights.shape(f"head.upsample_blocks.{i}.0.0.weight", 4)[1] for i in range(levels)]
    residuals = weights.count("head.upsample_blocks.0.{}.") - 1
    hidden = widths[0]
    if residuals > 0:
        hidden = weights.shape("head.upsample_blocks.0.1.layers.2.weight", 4)[0]
    last_residuals = 0
    while f"head.output_block.0.{1 + last_residuals}.layers.2.weight" in weights.tensors:
        last_residuals += 1
    last = f"head.output_block.0.{last_residuals + 2}.weight"
    return FirstShape(
        encoder=encoder,
        taken=_taken(stated.get("intermediate_layers", count), encoder.blocks, count, weights.path),
        projected=weights.shape("head.projects.0.weight", 4)[0],
        widths=widths,
        residuals=residuals,
        times_hidden=max(1, hidden // widths[0]),
        inside=_norm(stated.get("res_block_norm", "group_norm"), weights.path),
        last_residuals=last_residuals,
        last_width=weights.shape("head.output_block.0.0.weight", 4)[0],
        last_size=weights.shape(last, 4)[2],
        remap=_remap(stated, weights.path),
        tokens=_tokens(stated, _FIRST_TOKENS, weights.path),
    )


def second_shape(weights: Weights, stated: Mapping[str, Any]) -> SecondShape:
    """The configuration of MoGe's second version."""
    encoder = transformer_shape(weights.below("encoder.backbone."))
    count = weights.count("encoder.output_projections.{}.")
    quarters = [encoder.blocks * (i + 1) // count - 1 for i in range(count)]
    taken = _part(stated, "encoder").get("intermediate_layers", quarters)
    scale = weights.below("scale_head.")
    linear = [name for name in scale.tensors if name.endswith(".weight")]
    channels = [scale.shape(name, 2) for name in sorted(linear, key=lambda n: int(n.split(".")[0]))]

    def stack(name: str, channels: int | None = None) -> StackShape | None:
        part = weights.below(f"{name}.")
        if not part.tensors:
            return None
        shape = _stack(part, _part(stated, name))
        if shape.outputs[-1] != channels:
            raise CheckpointUnreadable(weights.path, f"{name} has no {channels} channels at last")
        return shape

    neck, points = stack("neck"), stack("points_head", 3)
    if neck is None or points is None:
        raise CheckpointUnreadable(weights.path, "the neck or the head for points is missing")
    return SecondShape(
        encoder=encoder,
        taken=_taken(taken, encoder.blocks, count, weights.path),
        projected=weights.shape("encoder.output_projections.0.weight", 4)[0],
        neck=neck,
        points=points,
        mask=stack("mask_head", 1),
        normal=stack("normal_head", 3),
        scale=[channels[0][1], *(outside for outside, _ in channels)] if channels else None,
        remap=_remap(stated, weights.path),
        tokens=_tokens(stated, _SECOND_TOKENS, weights.path),
    )


def _stack(weights: Weights, stated: Mapping[str, Any]) -> StackShape:
    is_learned: list[bool] = []
    widths: list[int] = []
    while True:
        learned = f"resamplers.{len(is_learned)}.0.weight"
        scaled = f"resamplers.{len(is_learned)}.1.weight"
        if learned in weights.tensors:
            inside, outside, *size = weights.shape(learned, 4)
            if size != [2, 2]:
                raise UnsupportedLayout(weights.path, "sides are doubled in an unknown way")
        elif scaled in weights.tensors:
            outside, inside, *_ = weights.shape(scaled, 4)
        else:
            break
        is_learned.append(learned in weights.tensors)
        widths.append(inside)
        last = outside
    if not widths:
        raise CheckpointUnreadable(weights.path, "a stack of convolutions has no levels")
    widths.append(last)
    levels = range(len(widths))
    residuals = [weights.count(f"res_blocks.{i}.{{}}.") for i in levels]
    filled = next((i for i in levels if residuals[i]), None)
    block = f"res_blocks.{filled}.0.layers"
    hidden = 1
    if filled is not None:
        hidden = weights.shape(f"{block}.2.weight", 4)[0] // widths[filled]
    before = "layer_norm" if f"{block}.0.weight" in weights.tensors else "none"
    inside_norm = "group_norm" if f"{block}.3.weight" in weights.tensors else "none"

    def channels(kind: str, axis: int) -> list[int | None]:
        names = [f"{kind}.{i}.weight" for i in levels]
        return [weights.shape(n, 4)[axis] if n in weights.tensors else None for n in names]

    return StackShape(
        inputs=channels("input_blocks", 1),
        widths=widths,
        outputs=channels("output_blocks", 0),
        residuals=residuals,
        times_hidden=max(1, hidden),
        before=_norm(stated.get("res_block_in_norm", before), weights.path),
        inside=_norm(stated.get("res_block_hidden_norm", inside_norm), weights.path),
        is_learned=is_learned,
    )


def _part(stated: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = stated.get(name)
    return part if isinstance(part, Mapping) else {}


def _taken(stated: Any, blocks: int, count: int, path: Path) -> Sequence[int]:
    """The blocks that are looked at: so many from the end, or these."""
    taken = list(range(blocks - stated, blocks)) if isinstance(stated, int) else stated
    fits = isinstance(taken, list) and len(taken) == count
    if not fits or not all(isinstance(i, int) and 0 <= i < blocks for i in taken):
        raise UnsupportedLayout(path, f"{count} of {blocks} blocks cannot be {stated!r}")
    return cast(Sequence[int], taken)


def _norm(stated: Any, path: Path) -> Norm:
    if stated not in _NORMS:
        raise UnsupportedLayout(path, f"the norm {stated!r} of its blocks is not supported")
    return _NORMS[stated]


def _remap(stated: Mapping[str, Any], path: Path) -> Remap:
    said = stated.get("remap_output", "exp")
    if said not in get_args(Remap):
        raise UnsupportedLayout(path, f"points cannot be remapped by {said!r}")
    return cast(Remap, said)


def _tokens(stated: Mapping[str, Any], usual: tuple[int, int], path: Path) -> tuple[int, int]:
    said = stated.get("num_tokens_range", usual)
    is_pair = isinstance(said, list | tuple) and len(said) == 2
    if not is_pair or not all(isinstance(n, int) and n > 0 for n in said):
        raise UnsupportedLayout(path, f"numbers of patches cannot be {said!r}")
    return (said[0], said[1])
