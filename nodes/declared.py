"""What core node classes declare that have no working part yet.

Packs take types and choices from them, and derive from them, when they are asked for their nodes.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from nodes.base import FileOptions

_TABLE: Final = Path(__file__).with_name("declared.json")


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(_TABLE.read_text())
    return table


def is_declared(name: str) -> bool:
    """Whether it is known what a class declares."""
    return name in _table()


def declared_inputs(name: str) -> dict[str, dict[str, Any]]:
    """Its INPUT_TYPES, with the files that are there now."""
    made: dict[str, dict[str, Any]] = {}
    for section, declared in json.loads(json.dumps(_table()[name]["input"])).items():
        made[section] = {key: _spec(spec) for key, spec in declared.items()}
    return made


def _spec(spec: Any) -> Any:
    if isinstance(spec, str):  # a hidden input
        return spec
    kind, *options = spec
    return (FileOptions(kind["files"]).names() if isinstance(kind, dict) else kind, *options)


def declared_attributes(name: str) -> dict[str, Any]:
    """Its other attributes that packs take over."""
    known = _table()[name]
    return {"RETURN_TYPES": tuple(known["output"]), "CATEGORY": known["category"]}
