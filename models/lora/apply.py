"""From the contents of a LoRA file to handles that have it in their weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch

from models.errors import CheckpointUnreadable
from models.lora.deltas import has_delta, scaled_delta
from models.lora.files import Lora, Parts
from models.lora.names import model_names, text_names
from models.lora.patches import (
    BiasPatch,
    ColumnsPatch,
    DeltaPatch,
    PartPatch,
    RotationPatch,
    SetPatch,
)
from models.lora.widening import widened
from models.network import Network, WeightPatch
from models.parts import Part

if TYPE_CHECKING:
    from models.handle import ModelHandle
    from models.text.handle import TextHandle

logger = logging.getLogger(__name__)

METADATA: Final = "lora_metadata"  # attached to a model: what the files of its LoRAs say, in order


def apply_lora(
    lora: Lora,
    model: ModelHandle,
    text: TextHandle | None,
    *,
    strength_model: float,
    strength_text: float,
) -> tuple[ModelHandle, TextHandle | None]:
    """Handles with the LoRA in their weights. The log says once which names fit nothing."""
    names = model_names(model.network)
    if strength_model != 0.0:
        model = widened(model, lora, names)
    input_layer = model.model.diffusion_model.input_layer
    model_patches = lora_patches(lora, names, model.network, strength_model, input_layer)
    used = set(names)
    if text is not None:
        text_patches = {}
        for key, encoder in text.encoders.items():
            layers = text_names(encoder)
            used |= set(layers)
            text_patches[key] = lora_patches(lora, layers, encoder.network, strength_text)
        text = text.with_patches(text_patches)
    unused = [name for name in lora.groups if name not in used]
    if not lora.reported.issuperset(unused):
        lora.reported.update(unused)
        logger.warning(
            "%d of %d entries of '%s' fit no weight of the model, such as '%s'",
            len(unused), len(lora.groups), lora.path, unused[0],
        )  # fmt: skip
    return _said_of(lora, model.with_patches(model_patches), strength_model), text


def _said_of(lora: Lora, model: ModelHandle, strength: float) -> ModelHandle:
    """The model, which is a clone already, with what the file of a LoRA in it says."""
    if strength != 0.0 and lora.metadata:
        said = (*(model.get_attachment(METADATA) or ()), lora.metadata)
        model.set_attachments(METADATA, said)
    return model


def lora_patches(
    lora: Lora,
    names: Mapping[str, str | Part],
    network: Network[Any],
    strength: float,
    input_layer: str | None = None,
) -> dict[str, list[WeightPatch]]:
    """What a LoRA changes in a network; `names` is from models.lora.names.

    `input_layer` names a layer of which it may change the first inputs alone.
    """
    patches: dict[str, list[WeightPatch]] = {}
    if strength == 0.0:
        return patches
    for name, parts in lora.groups.items():
        target = names.get(name)
        if target is None:
            continue
        part = target if isinstance(target, Part) else Part(target)
        bias, weight = f"{part.weight}.bias", f"{part.weight}.weight"
        if "norm_scale" in parts:
            norm = SetPatch(parts["norm_scale"], strength)
            patches.setdefault(f"{part.weight}.scale", []).append(norm)
            continue
        if "diff_b" in parts and bias in network:
            change = BiasPatch(parts["diff_b"], strength)
            patches.setdefault(bias, []).append(_of_part(change, part))
        patch = weight_patch(parts, strength)
        if patch is not None:
            shape = part.shape(network.shape(weight))
            if part.weight == input_layer and "down" in parts:
                shape = (shape[0], min(shape[1], parts["down"].shape[1]))
                patch = ColumnsPatch(patch, shape[1])
            _check(lora, name, parts, shape)
            patches.setdefault(weight, []).append(_of_part(patch, part))
    return patches


def _of_part(patch: WeightPatch, part: Part) -> WeightPatch:
    return patch if part.rows is None else PartPatch(patch, part)


def weight_patch(parts: Parts, strength: float) -> WeightPatch | None:
    """The change of a weight that a layer's tensors stand for; None if they leave it as it is."""
    if "oft_blocks" in parts:
        return RotationPatch(parts, strength)
    if "set" in parts:
        return SetPatch(parts["set"], strength)
    return DeltaPatch(parts, strength) if has_delta(parts) else None


def _check(lora: Lora, name: str, parts: Parts, shape: tuple[int, ...]) -> None:
    """Compute with shapes alone whether the parts fit."""
    empty = {part: tensor.to("meta") for part, tensor in parts.items()}
    weight = torch.empty(shape, device="meta")
    try:
        if "oft_blocks" in parts:
            rows = empty["oft_blocks"].shape[-3] * empty["oft_blocks"].shape[-1]
            fits = rows == shape[0]
        elif "set" in parts:
            fits = empty["set"].numel() == weight.numel()
        else:
            fits = scaled_delta(empty, weight).numel() == weight.numel()
    except (RuntimeError, KeyError, IndexError) as error:
        raise CheckpointUnreadable(lora.path, f"'{name}' is malformed ({error})") from error
    if not fits:
        raise CheckpointUnreadable(
            lora.path,
            f"'{name}' does not fit a weight of shape {shape}",
            "Use a LoRA that was made for this model family.",
        )
