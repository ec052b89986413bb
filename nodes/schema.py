"""The base of node classes that ComfyUI describes by a schema: nearly all of `comfy_extras`.

They declare their inputs as other classes of ours do; what differs is how clients see them: in
GET /object_info choices are a COMBO, and every flag is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from models.errors import InvalidInput
from nodes.base import Declared, FileOptions, Inputs, Node


class SchemaNode(Node):
    """One node class. A subclass says in which of ComfyUI's modules it is."""

    RETURN_NAMES: ClassVar[tuple[str, ...]] = ()  # none: the types
    OUTPUT_IS_LIST: ClassVar[tuple[bool, ...]] = ()  # none: no output is a list
    MATCHED_OUTPUTS: ClassVar[tuple[str | None, ...] | None] = None  # templates of output types
    DEPRECATED: ClassVar[bool] = False
    HAS_INTERMEDIATE_OUTPUT: ClassVar[bool] = False  # what it shows is no end of a graph
    EXPERIMENTAL: ClassVar[bool] = False
    DEV_ONLY: ClassVar[bool] = False  # hidden from who puts graphs together

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """The inputs, choices among names as COMBO."""
        types: dict[str, dict[str, Any]] = {"required": {}} | super().INPUT_TYPES()
        for section in ("required", "optional"):
            if section in types:
                types[section] = as_schema(types[section])
        return types

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        """The entry in GET /object_info, with file lists as they are on disk now."""
        types = cls.INPUT_TYPES()
        if "hidden" in types:
            types["hidden"] = {name: [kind] for name, kind in types["hidden"].items()}
        info: dict[str, Any] = {
            "input": types,
            "input_order": {section: list(declared) for section, declared in types.items()},
            "output": list(cls.RETURN_TYPES),
            "output_is_list": list(cls.OUTPUT_IS_LIST or (False,) * len(cls.RETURN_TYPES)),
            "output_name": list(cls.RETURN_NAMES or cls.RETURN_TYPES),
            "output_tooltips": [None] * len(cls.RETURN_TYPES),
            "output_matchtypes": cls.MATCHED_OUTPUTS and list(cls.MATCHED_OUTPUTS),
            "display_name": cls.DISPLAY_NAME,
            "description": "",
            "python_module": getattr(cls, "RELATIVE_PYTHON_MODULE", "nodes"),
            "category": cls.CATEGORY,
            "output_node": cls.OUTPUT_NODE,
            "deprecated": cls.DEPRECATED,
            "experimental": cls.EXPERIMENTAL,
            "api_node": False,
        }
        if cls.HAS_INTERMEDIATE_OUTPUT:
            info["has_intermediate_output"] = True
        if cls.DEV_ONLY:
            info["dev_only"] = True
        return info


class DynamicNode(SchemaNode):
    """A node with inputs that bring others along.

    In a graph these have flat names with dots (`images.image0`); `run` gets them nested, as
    `images={"image0": ...}` or `format={"format": "png", "bit_depth": "8-bit"}`.
    """

    FUNCTION = "run_flat"

    @classmethod
    def execute(cls, *arguments: Any, **named: Any) -> Any:
        """The work, called on the class with nested inputs, as packs do with V3 nodes."""
        return cls().run(*arguments, **named)

    def run_flat(self, **flat: Any) -> Any:
        """The work, with the inputs of a graph."""
        hidden = {name: flat[name] for name, _ in self.HIDDEN if name in flat}
        declared = as_schema({**self.REQUIRED, **self.OPTIONAL})
        given = _nested(declared, flat)
        for name in self.REQUIRED:
            kind, options = declared[name]
            if name not in given and kind == "COMFY_DYNAMICCOMBO_V3":
                known = ", ".join(str(option["key"]) for option in options["options"])
                raise InvalidInput(f"'{name}' is none of its choices: {known}")
        return self.run(**hidden, **given)


def growing(
    name: str, spec: Declared, *, names: str | list[str], least: int, most: int = 0
) -> Declared:
    """A group of inputs that grows with what is linked.

    `names` are those of its members, or what they begin with: `most` of them are then numbered
    from 0. The first `least` are required.
    """
    template: dict[str, Any] = {"input": {"required": {name: spec}}}
    if isinstance(names, str):
        template |= {"prefix": names, "min": least, "max": most}
    else:
        template |= {"names": names, "min": least}
    return ("COMFY_AUTOGROW_V3", {"template": template})


def opening(
    options: Mapping[str, Inputs],
    optional: Mapping[str, Inputs] = MappingProxyType({}),
    **more: Any,
) -> Declared:
    """A choice that opens further inputs; `optional` has those that may be absent, by the choice.

    What else is declared of it (`default`) goes along.
    """
    described = [
        {"key": key, "inputs": _given(required=opened, optional=optional.get(key, {}))}
        for key, opened in options.items()
    ]
    return ("COMFY_DYNAMICCOMBO_V3", {"options": described, **more})


def _given(**sections: Inputs) -> dict[str, dict[str, Declared]]:
    """The sections that have inputs."""
    return {section: dict(declared) for section, declared in sections.items() if declared}


def as_schema(declared: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Declared inputs in the form of schemas, those inside of dynamic inputs too."""
    return {name: _spec(spec) for name, spec in declared.items()}


def _spec(spec: Any) -> tuple[str, dict[str, Any]]:
    kind, options = spec[0], dict(spec[1]) if len(spec) > 1 else {}
    if isinstance(kind, FileOptions):
        kind = kind.names()
    if isinstance(kind, list):
        return ("COMBO", {"multiselect": False, "options": kind} | options)
    if kind == "COMFY_AUTOGROW_V3":
        template = options["template"]
        options["template"] = template | {"input": _sections(template["input"])}
    if kind == "COMFY_DYNAMICCOMBO_V3":
        options["options"] = [
            option | {"inputs": _sections(option["inputs"])} for option in options["options"]
        ]
    return (kind, options)


def _sections(sections: Mapping[str, Any]) -> dict[str, Any]:
    return {section: as_schema(declared) for section, declared in sections.items()}


def _nested(
    declared: Mapping[str, tuple[str, dict[str, Any]]], flat: Mapping[str, Any], prefix: str = ""
) -> dict[str, Any]:
    """The values of inputs by name, those of dynamic ones as dictionaries.

    What is not in the graph is left out, but for a group, which may be empty.
    """
    found: dict[str, Any] = {}
    for name, (kind, options) in declared.items():
        full = prefix + name
        if kind == "COMFY_AUTOGROW_V3":
            members = ((member, f"{full}.{member}") for member in _members(options["template"]))
            found[name] = {member: flat[path] for member, path in members if path in flat}
        elif kind == "COMFY_DYNAMICCOMBO_V3":
            if full in flat:
                opened = _opened(options["options"], flat[full])
                found[name] = {name: flat[full]} | _nested(opened, flat, f"{full}.")
        elif full in flat:
            found[name] = flat[full]
    return found


def _members(template: Mapping[str, Any]) -> list[str]:
    names: list[str] | None = template.get("names")
    return names or [f"{template['prefix']}{index}" for index in range(template["max"])]


def _opened(options: list[dict[str, Any]], chosen: Any) -> dict[str, Any]:
    """What a choice opens, in all sections."""
    for option in options:
        if option["key"] == chosen:
            return {k: v for declared in option["inputs"].values() for k, v in declared.items()}
    return {}
