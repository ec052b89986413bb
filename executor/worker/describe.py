"""Describes node classes as plain data: their entry in GET /object_info, and their own checks."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from executor.definitions import ClassCheck, NodeDefinition
from executor.node_replacement import FROM_PACKS
from executor.worker.contract import NodeClass, has_schema, later_names, takes_old_prompts
from executor.worker.file_inputs import FileInput, take_files
from executor.worker.plain_info import declared_types, equal_types, further_output, plain

log = logging.getLogger(__name__)

# What classes written for later releases say, passed on where it is said.
_LATER: Final = {
    "search_aliases": "SEARCH_ALIASES",
    "essentials_category": "ESSENTIALS_CATEGORY",
    "dev_only": "DEV_ONLY",
    "has_intermediate_output": "HAS_INTERMEDIATE_OUTPUT",
}


def describe_all(
    classes: Mapping[str, NodeClass], display_names: Mapping[str, str]
) -> list[NodeDefinition]:
    """The definitions of all classes; one that cannot be described is left out and logged."""
    return with_equal_types(describe_each(classes, display_names), classes)


def describe_each(
    classes: Mapping[str, NodeClass], display_names: Mapping[str, str]
) -> list[NodeDefinition]:
    """As `describe_all`, for classes that come a pack at a time: `with_equal_types` follows."""
    definitions = []
    for name, node_class in classes.items():
        try:
            definitions.append(describe(name, node_class, display_names.get(name, name)))
        except BaseException:  # a class does not end the worker, nor its pack
            log.exception("node class %s cannot be described and is left out", name)
    return definitions


def with_equal_types(
    definitions: list[NodeDefinition], classes: Mapping[str, NodeClass]
) -> list[NodeDefinition]:
    """Ask types that equal some others which ones: for that, all types must be known."""
    if not any(_is_choosy(definition) for definition in definitions):
        return definitions
    known = sorted(
        {
            kind
            for definition in definitions
            for kind in declared_types(definition.info["input"], definition.info["output"])
            if isinstance(kind, str)
        }
    )

    def completed(definition: NodeDefinition) -> NodeDefinition:
        if not _is_choosy(definition):
            return definition
        node_class = classes[definition.name]
        try:
            declared = declared_types(node_class.INPUT_TYPES(), node_class.RETURN_TYPES)
        except BaseException:  # although it was described a moment ago
            log.warning("node class %s cannot be described again", definition.name, exc_info=True)
            return definition
        return msgspec.structs.replace(definition, equal_types=equal_types(declared, known))

    return [completed(definition) for definition in definitions]


def _is_choosy(definition: NodeDefinition) -> bool:
    return any(not names for names in definition.equal_types.values())


def describe(name: str, node_class: NodeClass, display_name: str) -> NodeDefinition:
    """One class; raises whatever its INPUT_TYPES raises."""
    if has_schema(node_class):
        info = node_class.GET_NODE_INFO_V1() | {"name": name}
        types, files = take_files(info["input"])
        return NodeDefinition(
            name=name,
            info=plain(info | {"input": types}),
            check=_class_check(node_class),
            replaces=_replaced_by(name),
            equal_types=equal_types(declared_types(types, info["output"])),
            takes_old_prompts=takes_old_prompts(node_class),
            later_names=later_names(node_class),
            **_file_fields(files),
        )
    types, files = take_files(node_class.INPUT_TYPES())
    return NodeDefinition(
        name=name,
        info=plain(_info(name, node_class, display_name, types)),
        check=_class_check(node_class),
        replaces=_replaced_by(name),
        equal_types=equal_types(declared_types(types, node_class.RETURN_TYPES)),
        further_output=further_output(node_class.RETURN_TYPES),
        takes_old_prompts=takes_old_prompts(node_class),
        later_names=later_names(node_class),
        **_file_fields(files),
    )


def _file_fields(files: Mapping[str, FileInput]) -> dict[str, Any]:
    return {
        "file_options": {key: taken.source for key, taken in files.items()},
        "choices_before_files": {key: taken.before for key, taken in files.items() if taken.before},
    }


def _replaced_by(name: str) -> list[dict[str, Any]]:
    announced = (entry for entries in FROM_PACKS.table.values() for entry in entries)
    return [msgspec.to_builtins(entry) for entry in announced if entry.new_node_id == name]


def _info(
    name: str, node_class: NodeClass, display_name: str, types: Mapping[str, Any]
) -> dict[str, Any]:
    returns = list(node_class.RETURN_TYPES)
    info: dict[str, Any] = {
        "input": types,
        "input_order": {section: list(inputs) for section, inputs in types.items()},
        "output": returns,
        "output_is_list": list(getattr(node_class, "OUTPUT_IS_LIST", [False] * len(returns))),
        "output_name": list(getattr(node_class, "RETURN_NAMES", returns)),
        "name": name,
        "display_name": display_name,
        "description": getattr(node_class, "DESCRIPTION", ""),
        "python_module": getattr(node_class, "RELATIVE_PYTHON_MODULE", "nodes"),
        "category": getattr(node_class, "CATEGORY", "sd"),
        "output_node": getattr(node_class, "OUTPUT_NODE", False) is True,
    }
    if hasattr(node_class, "OUTPUT_TOOLTIPS"):
        info["output_tooltips"] = list(node_class.OUTPUT_TOOLTIPS)
    for key, attribute in (("deprecated", "DEPRECATED"), ("experimental", "EXPERIMENTAL")):
        if getattr(node_class, attribute, False):
            info[key] = True
    if hasattr(node_class, "API_NODE"):
        info["api_node"] = node_class.API_NODE
    for key, attribute in _LATER.items():
        if value := getattr(node_class, attribute, None):
            info[key] = value
    return info


def _class_check(node_class: NodeClass) -> ClassCheck | None:
    check = getattr(node_class, "VALIDATE_INPUTS", None)
    if check is None:
        return None
    parameters = inspect.signature(check).parameters.values()
    return ClassCheck(
        arguments=[p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)],
        takes_all=any(p.kind is p.VAR_KEYWORD for p in parameters),
    )
