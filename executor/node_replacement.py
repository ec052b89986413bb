"""Node classes that took the place of older ones, and graphs brought up to date with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec


class FromInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input of the new node that has the value or link of an old input."""

    new_id: str
    old_id: str


class FixedValue(msgspec.Struct, frozen=True, kw_only=True):
    """An input of the new node that always has this value."""

    new_id: str
    set_value: Any


class OutputMapping(msgspec.Struct, frozen=True, kw_only=True):
    """An output of the new node that stands for an old output."""

    new_idx: int
    old_idx: int


InputMapping: TypeAlias = FromInput | FixedValue


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """How a node of a class is replaced; the fields are those that clients see."""

    new_node_id: str  # class names
    old_node_id: str
    old_widget_ids: Sequence[str] | None = None  # inputs of the old class by widget position
    input_mapping: Sequence[InputMapping] | None = None  # None: inputs keep their names
    output_mapping: Sequence[OutputMapping] | None = None  # None: outputs keep their numbers


class _Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """Either form of an input mapping, as it is written."""

    new_id: str
    old_id: str | msgspec.UnsetType = msgspec.UNSET
    set_value: Any = msgspec.UNSET


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """A replacement as it is written."""

    new_node_id: str
    old_node_id: str
    old_widget_ids: list[str] | None = None
    input_mapping: list[_Mapping] | None = None
    output_mapping: list[OutputMapping] | None = None


def read_replacement(written: Any) -> Replacement:
    """From the form in which clients see it; raises ValueError."""
    found = msgspec.convert(written, _Written)
    mapping = None
    if found.input_mapping is not None:
        mapping = [_read_mapping(entry) for entry in found.input_mapping]
    return Replacement(
        new_node_id=found.new_node_id,
        old_node_id=found.old_node_id,
        old_widget_ids=found.old_widget_ids,
        input_mapping=mapping,
        output_mapping=found.output_mapping,
    )


def _read_mapping(written: _Mapping) -> InputMapping:
    if written.old_id is not msgspec.UNSET:
        return FromInput(new_id=written.new_id, old_id=written.old_id)
    if written.set_value is msgspec.UNSET:
        raise ValueError(f"the mapping of input '{written.new_id}' has no old_id and no set_value")
    return FixedValue(new_id=written.new_id, set_value=written.set_value)


def _same_inputs(old: str, new: str) -> Replacement:
    return Replacement(old_node_id=old, new_node_id=new)


def _input(old_id: str, new_id: str) -> FromInput:
    return FromInput(new_id=new_id, old_id=old_id)


BUILT_IN: Final = (
    Replacement(
        old_node_id="ResizeImagesByLongerEdge",
        new_node_id="ImageScaleToMaxDimension",
        old_widget_ids=("longer_edge",),
        input_mapping=(
            _input("images", "image"),
            _input("longer_edge", "largest_size"),
            FixedValue(new_id="upscale_method", set_value="lanczos"),
        ),
        output_mapping=(OutputMapping(new_idx=0, old_idx=0),),
    ),
    Replacement(
        old_node_id="ImageBatch",
        new_node_id="BatchImagesNode",
        input_mapping=(_input("image1", "images.image0"), _input("image2", "images.image1")),
    ),
    Replacement(
        old_node_id="ImageScaleBy",
        new_node_id="ResizeImageMaskNode",
        old_widget_ids=("upscale_method", "scale_by"),
        input_mapping=(
            _input("image", "input"),
            FixedValue(new_id="resize_type", set_value="scale by multiplier"),
            _input("scale_by", "resize_type.multiplier"),
            _input("upscale_method", "scale_method"),
        ),
    ),
    Replacement(
        old_node_id="T2IAdapterLoader",
        new_node_id="ControlNetLoader",
        input_mapping=(_input("t2i_adapter_name", "control_net_name"),),
    ),
    _same_inputs("Load3DAnimation", "Load3D"),
    _same_inputs("Preview3DAnimation", "Preview3D"),
    _same_inputs("SDV_img2vid_Conditioning", "SVD_img2vid_Conditioning"),
    _same_inputs("ConditioningAverage ", "ConditioningAverage"),
)


class Replacements:
    """All replacements that are known; node packs may add theirs."""

    def __init__(self, entries: Iterable[Replacement] = BUILT_IN) -> None:
        self.table: dict[str, list[Replacement]] = {}  # old class -> entries, the first counts
        for entry in entries:
            self.register(entry)

    def register(self, entry: Replacement) -> bool:
        """Add an entry; False if there is one for the same two classes already."""
        entries = self.table.setdefault(entry.old_node_id, [])
        if any(known.new_node_id == entry.new_node_id for known in entries):
            return False
        entries.append(entry)
        return True

    def apply(self, prompt: object, registered: Collection[str]) -> object:
        """The graph with nodes of classes that are not registered replaced, where possible.

        The graph that is given stays as it is; it may be malformed. A class whose first entry
        leads to a class that is not registered either is left alone.
        """
        if not isinstance(prompt, dict):
            return prompt
        chosen = {
            node_id: entry
            for node_id, node in prompt.items()
            if (entry := self._choose(node, registered)) is not None
        }
        if not chosen:
            return prompt
        replaced = {
            node_id: _replace(node, chosen[node_id]) if node_id in chosen else node
            for node_id, node in prompt.items()
        }
        moves = {node_id: _moved_outputs(entry) for node_id, entry in chosen.items()}
        if not any(moves.values()):
            return replaced
        return {node_id: _follow_moves(node, moves) for node_id, node in replaced.items()}

    def _choose(self, node: object, registered: Collection[str]) -> Replacement | None:
        name = node.get("class_type") if isinstance(node, dict) else None
        if not isinstance(name, str) or name in registered or name not in self.table:
            return None
        entry = self.table[name][0]
        return entry if entry.new_node_id in registered else None


FROM_PACKS: Final = Replacements(())  # what packs announce in this process: a worker's


def _replace(node: dict[str, Any], entry: Replacement) -> dict[str, Any]:
    new = node | {"class_type": entry.new_node_id}
    old_inputs = node.get("inputs")
    if entry.input_mapping is None or not isinstance(old_inputs, dict):
        return new
    inputs: dict[str, Any] = {}
    for mapping in entry.input_mapping:
        if isinstance(mapping, FixedValue):
            inputs[mapping.new_id] = mapping.set_value
        elif mapping.old_id in old_inputs:
            inputs[mapping.new_id] = old_inputs[mapping.old_id]
    return new | {"inputs": inputs}


def _moved_outputs(entry: Replacement) -> dict[int, int]:
    """Old output number -> new one, of those that changed."""
    return {
        mapping.old_idx: mapping.new_idx
        for mapping in reversed(entry.output_mapping or ())
        if mapping.old_idx != mapping.new_idx
    }


def _follow_moves(node: Any, moves: Mapping[str, Mapping[int, int]]) -> Any:
    """The node with its links to outputs that moved renumbered."""
    inputs = node.get("inputs") if isinstance(node, dict) else None
    if not isinstance(inputs, dict):
        return node
    moved = {name: _follow_move(value, moves) for name, value in inputs.items()}
    return node if moved == inputs else node | {"inputs": moved}


def _follow_move(value: Any, moves: Mapping[str, Mapping[int, int]]) -> Any:
    match value:
        case [str(node_id), int(index)] if node_id in moves and not isinstance(index, bool):
            return [node_id, moves[node_id].get(index, index)]
        case _:
            return value
