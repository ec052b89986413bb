"""Which texts in a graph, and which choices of an input, are names of files in the input folder.

Other texts are not taken for names, though they may be equal to one: who calls an upload `euler`
takes that sampler from nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from executor.definitions import NodeDefinition
from executor.file_options import INPUT_FILES, INPUT_FOLDERS
from executor.folders import split_annotation

_SECTIONS = ("required", "optional")
# Types of inputs whose values are names of files that a front end has uploaded.
_UPLOADED = frozenset({"WEBCAM", "LOAD_3D"})


class NamedFile(NamedTuple):
    """A text in a graph that names a file, or a folder of them."""

    node_id: str
    input_name: str
    text: str
    is_folder: bool = False


def named_files(graph: object, definitions: Mapping[str, NodeDefinition]) -> Iterator[NamedFile]:
    """The names in the inputs of a graph's nodes, also those with a kind or a whole path."""
    for node_id, node in graph.items() if isinstance(graph, dict) else ():
        inputs = node.get("inputs") if isinstance(node, dict) else None
        if not isinstance(inputs, dict):
            continue
        class_type = node.get("class_type")
        definition = definitions.get(class_type) if isinstance(class_type, str) else None
        files = frozenset() if definition is None else inputs_of_files(definition)
        folders = {} if definition is None else definition.file_options
        for input_name, value in inputs.items():
            is_folder = folders.get(input_name) == INPUT_FOLDERS
            for text in _texts(value):
                is_whole = text.startswith("/") or split_annotation(text)[1] is not None
                if is_whole or is_folder or input_name in files:
                    yield NamedFile(node_id, input_name, text, is_folder and not is_whole)


def inputs_of_files(definition: NodeDefinition) -> frozenset[str]:
    """The inputs that take names of files in the input folder."""
    return frozenset(
        name
        for section in _SECTIONS
        for name, declared in definition.info["input"].get(section, {}).items()
        if definition.file_options.get(name) in INPUT_FILES or _takes_uploads(declared)
    )


def without_choices(
    definition: NodeDefinition, info: dict[str, Any], hidden: Collection[str]
) -> dict[str, Any]:
    """The /object_info entry of a class without hidden files (a copy if there are any)."""
    files = inputs_of_files(definition) if hidden else frozenset()
    files |= {key for key, source in definition.file_options.items() if source == INPUT_FOLDERS}
    if not files or not hidden:
        return info
    return info | {
        "input": {
            section: {
                name: _without(declared, hidden) if name in files else declared
                for name, declared in inputs.items()
            }
            for section, inputs in info["input"].items()
        }
    }


def _takes_uploads(declared: Any) -> bool:
    """Whether a declaration has such a type, or an option such as `image_upload`."""
    if not isinstance(declared, list | tuple):
        return False
    if declared and isinstance(declared[0], str) and declared[0] in _UPLOADED:
        return True
    if len(declared) < 2:
        return False
    options = declared[1]
    return isinstance(options, dict) and any(
        value is True and name.endswith("_upload") for name, value in options.items()
    )


def _without(declared: Any, hidden: Collection[str]) -> Any:
    kind, *rest = declared
    if isinstance(kind, list):
        return [[choice for choice in kind if choice not in hidden], *rest]
    options = rest[0] if rest and isinstance(rest[0], dict) else {}
    if not isinstance(options.get("options"), list):
        return declared
    kept = [choice for choice in options["options"] if choice not in hidden]
    return [kind, options | {"options": kept}, *rest[1:]]


def _texts(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
