"""Inputs that offer files: the lists are taken out of definitions, the server makes them itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodes.file_choices import FileChoices


@dataclass(frozen=True, slots=True)
class FileInput:
    """One such input."""

    source: str  # a model folder kind, or `input_images`
    before: int  # how many choices that are no files stand before them


def take_files(types: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, FileInput]]:
    """The inputs with nothing but those choices that are no files, and the inputs it concerns."""
    taken: dict[str, FileInput] = {}
    changed = dict(types)
    for section in ("required", "optional"):
        if not isinstance(types.get(section), dict):
            continue
        changed[section] = inputs = dict(types[section])
        for name, spec in inputs.items():
            choices = _file_choices(spec)
            own = choices.own_choices() if choices is not None else None
            if choices is None or own is None:
                continue
            before, after = own
            taken[name] = FileInput(choices.source, len(before))
            if spec[0] is choices:
                inputs[name] = ([*before, *after], *spec[1:])
            else:
                inputs[name] = (spec[0], {**spec[1], "options": [*before, *after]}, *spec[2:])
    return changed, taken


def _file_choices(spec: Any) -> FileChoices | None:
    """The list of files that an input offers, if it does."""
    if not isinstance(spec, tuple | list) or not spec:
        return None
    choices = spec[0]
    if isinstance(choices, str) and choices == "COMBO" and len(spec) > 1:
        choices = spec[1].get("options") if isinstance(spec[1], Mapping) else None
    return choices if isinstance(choices, FileChoices) else None
