"""A JSON object kept in a file. What cannot be read is moved aside, never overwritten."""

from __future__ import annotations

import json
import logging
import uuid
from pathlib import Path
from typing import Any

import msgspec

from executor import json_text
from server.atomic import replacing
from server.errors import TooLarge

log = logging.getLogger(__name__)


def read_json_file(file: Path) -> dict[str, Any]:
    """The object in the file; empty if there is no file, or none that makes sense."""
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        value = json_text.decode(text)
    except (ValueError, RecursionError) as error:
        return _set_aside(file, str(error))
    return value if isinstance(value, dict) else _set_aside(file, "it holds no object")


def write_json_file(file: Path, value: dict[str, Any], *, largest: int | None = None) -> None:
    """Replace the file, laid out for people. Raises TooLarge over `largest` bytes."""
    try:
        text = msgspec.json.format(msgspec.json.encode(value), indent=4)
    except ValueError:  # a lone surrogate, from a file that another program wrote
        text = json.dumps(value, indent=4).encode()
    if largest is not None and len(text) > largest:
        raise TooLarge(largest)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, durable=True) as out:
        out.write(text)


def _set_aside(file: Path, reason: str) -> dict[str, Any]:
    other = file.with_name(f"{file.name}.broken-{uuid.uuid4().hex[:8]}")
    file.rename(other)
    log.error("%s cannot be read (%s): kept as %s, begun anew", file, reason, other.name)
    return {}
