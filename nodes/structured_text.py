"""Nodes that read and write text with a structure: JSON, templates."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from nodes.base import inputs
from nodes.schema import DynamicNode, SchemaNode, growing

_INDENT: Final = ("INT", {"default": 2, "min": 0, "max": 8})
_LONG_NUMBER: Final = re.compile(r"[0-9]{5}")


class _StructureNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_string"
    CATEGORY = "utils/string"
    RETURN_TYPES = ("STRING",)


class JsonExtractString(_StructureNode):
    """Takes a value out of a JSON object in a text."""

    DISPLAY_NAME = "Extract String from JSON"
    REQUIRED = inputs(
        json_string=("STRING", {"multiline": True}), key=("STRING", {"multiline": False})
    )

    def run(self, json_string: str, key: str) -> tuple[str]:
        """Of the first object in the text; without object, key or value an empty text."""
        value = _first_object(json_string).get(key)
        if value is None or isinstance(value, str):
            return (value or "",)
        return (json.dumps(value, ensure_ascii=False),)


def _first_object(text: str) -> Mapping[str, Any]:
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            found: Mapping[str, Any] = decoder.raw_decode(text, start)[0]
            return found
        except RecursionError:  # the same would be tried from each of the thousands inside
            return {}
        except ValueError:
            start = text.find("{", start + 1)
    return {}


class ConvertArrayToString(_StructureNode):
    """Writes a list as JSON."""

    DISPLAY_NAME = "Convert Array to String"
    REQUIRED = inputs(array=("ARRAY",), indent=_INDENT)

    def run(self, array: Sequence[Any], indent: int) -> tuple[str]:
        """0 is all in one line."""
        return (_json(array, indent),)


class ConvertDictionaryToString(_StructureNode):
    """Writes an object as JSON."""

    DISPLAY_NAME = "Convert Dictionary to String"
    REQUIRED = inputs(dictionary=("DICT",), indent=_INDENT)

    def run(self, dictionary: Mapping[str, Any], indent: int) -> tuple[str]:
        """0 is all in one line."""
        return (_json(dictionary, indent),)


def _json(value: Any, indent: int) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent or None)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"this cannot be written as JSON: {error}") from error


class StringFormat(DynamicNode):
    """Fills values into a text."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_string"
    DISPLAY_NAME = "Format String"
    CATEGORY = "utils/string"
    REQUIRED = inputs(
        values=growing("value", ("*",), names=list(string.ascii_lowercase), least=0),
        f_string=("STRING", {"default": "{a}", "multiline": True}),
    )
    RETURN_TYPES = ("STRING",)

    def run(self, values: Mapping[str, Any], f_string: str) -> tuple[str]:
        """As Python's `str.format`, but for parts of values. Raises ValueError."""
        return (_PlainFormatter().vformat(f_string, (), values),)


class _PlainFormatter(string.Formatter):
    """Values by their names alone: their attributes would lead to everything."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, str]:
        if field_name not in kwargs:
            known = ", ".join(kwargs) or "none"
            raise ValueError(f"there is no value '{field_name}' for the text, but {known}")
        return kwargs[field_name], field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if _LONG_NUMBER.search(format_spec):
            raise ValueError(f"the width in '{format_spec[:100]}' is too large")
        text: str = super().format_field(value, format_spec)
        return text
