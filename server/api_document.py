"""The description of the API (OpenAPI 3.1): YAML files, joined when it is first asked for."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from server.encoded import EncodedBody

_FOLDER: Final = Path(str(resources.files("server"))) / "openapi"
_ROOT: Final = "openapi.yaml"


def read_document() -> dict[str, Any]:
    """The whole document. Reads files and takes a moment: not for the event loop."""
    document = _read(_ROOT)
    for file in sorted(_FOLDER.glob("*.yaml")):
        if file.name != _ROOT:
            _join(document, _read(file.name), file.name)
    return document


@functools.cache
def encoded_document() -> EncodedBody:
    """The document as it is sent; reads it the first time."""
    return EncodedBody.make(msgspec.json.encode(read_document()))


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
