"""Describes node classes as plain data: their entry in GET /object_info, and their own checks."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any

from executor.definitions import ClassCheck, NodeDefinition
from executor.worker.contract import NodeClass
from nodes.file_choices import FileChoices

log = logging.getLogger(__name__)


def describe_all(
    classes: Mapping[str, NodeClass], display_names: Mapping[str, str]
) -> list[NodeDefinition]:
    """The definitions of all classes; one that cannot be described is left out and logged."""
    definitions = []
    for name, node_class in classes.items():
        try:
            definitions.append(describe(name, node_class, display_names.get(name, name)))
        except Exception:
            log.exception("node class %s cannot be described and is left out", name)
    return definitions


def describe(name: str, node_class: NodeClass, display_name: str) -> NodeDefinition:
    """One class; raises whatever its INPUT_TYPES raises."""
    types = dict(node_class.INPUT_TYPES())
    files = _take_files(types)
    return NodeDefinition(
        name=name,
        info=_info(name, node_class, display_name, types),
        check=_class_check(node_class),
        file_options={key: choices.source for key, (choices, _) in files.items()},
        choices_before_files={key: before for key, (_, before) in files.items() if before},
    )


def _take_files(types: dict[str, Any]) -> dict[str, tuple[FileChoices, int]]:
    """Replace lists of files by the choices among them that are none; how many stand before them.

    The server lists the files itself.
    """
    taken: dict[str, tuple[FileChoices, int]] = {}
    for section in ("required", "optional"):
        if not isinstance(types.get(section), dict):
            continue
        types[section] = inputs = dict(types[section])
        for name, spec in inputs.items():
            choices = _file_choices(spec)
            own = choices.own_choices() if choices is not None else None
            if choices is None or own is None:
                continue
            before, after = own
            taken[name] = (choices, len(before))
            if spec[0] is choices:
                inputs[name] = ([*before, *after], *spec[1:])
            else:
                inputs[name] = (spec[0], {**spec[1], "options": [*before, *after]}, *spec[2:])
    return taken


def _file_choices(spec: Any) -> FileChoices | None:
    """The list of files that an input offers, if it does."""
    if not isinstance(spec, tuple | list) or not spec:
        return None
    choices = spec[0]
    if choices == "COMBO" and len(spec) > 1 and isinstance(spec[1], Mapping):
        choices = spec[1].get("options")
    return choices if isinstance(choices, FileChoices) else None


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
