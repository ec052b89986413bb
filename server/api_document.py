"""The description of the API (OpenAPI 3.1): YAML files, joined when it is first asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from server.scopes import Scope

_FOLDER: Final = Path(str(resources.files("server"))) / "openapi"
_ROOT: Final = "openapi.yaml"
_PARAMETER: Final = re.compile(r"\{[^}]*\}")


def read_document(scopes: Mapping[tuple[str, str], Scope]) -> dict[str, Any]:
    """The whole document. Reads files and takes a moment: not for the event loop.

    `scopes` says what a key must allow, by method and path: without /api, parameters as `{}`.
    """
    document = _read(_ROOT)
    for file in sorted(_FOLDER.glob("*.yaml")):
        if file.name != _ROOT:
            _join(document, _read(file.name), file.name)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            scope = scopes.get((method.upper(), path_shape(path)))
            if scope is not None:
                _add_scope(operation, scope, document["components"]["securitySchemes"])
    return document


def path_shape(path: str) -> str:
    """A path without /api, whose parameters have neither names nor patterns."""
    return _PARAMETER.sub("{}", path.removeprefix("/api") if path.startswith("/api/") else path)


def _add_scope(operation: dict[str, Any], scope: Scope, schemes: Iterable[str]) -> None:
    """Say which key a call needs where keys are in use, and what it is answered without."""
    if scope is Scope.OPEN:
        operation["security"] = []
        return
    operation["security"] = [{}, *({name: [scope.word]} for name in schemes)]
    operation["responses"].setdefault("401", {"$ref": "#/components/responses/KeyNeeded"})
    operation["responses"].setdefault("403", {"$ref": "#/components/responses/ForeignPage"})


def _read(name: str) -> dict[str, Any]:
    # msgspec imports PyYAML only here: most servers are never asked.
    return msgspec.yaml.decode((_FOLDER / name).read_bytes(), type=dict[str, Any])


def _join(target: dict[str, Any], part: dict[str, Any], source: str) -> None:
    """Add the part; objects of the same name are joined, two values of one name are an error."""
    for key, value in part.items():
        present = target.setdefault(key, value)
        if present is value:
            continue
        if not isinstance(present, dict) or not isinstance(value, dict):
            raise ValueError(f"{source}: '{key}' is there twice")
        _join(present, value, source)
