"""Writes docs/nodes.md: `python -m nodes.catalogue > docs/nodes.md`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from nodes.base import Node
from nodes.registry import NODE_CLASSES

_RECORDS: Final = Path(__file__).parents[1] / "tests" / "reference"  # in a checkout

# Areas of recorded results that run nodes, and the keys under which their cases name classes.
_AREAS: Final[Mapping[str, frozenset[str]]] = {
    "parity/nodes.json": frozenset({"node", "$node"}),
    "parity/conditioning.json": frozenset({"node"}),
    "parity/custom_samplers.json": frozenset({"node"}),
    "parity_models/cases/*.json": frozenset({"class_type"}),
}
_FILES: Final = "parity/image_io.json"
_CLASS_OF_KIND: Final = {
    "load_image": "LoadImage",
    "load_image_mask": "LoadImageMask",
    "save_names": "SaveImage",
    "save_pixels": "SaveImage",
    "save_latent": "SaveLatent",
    "preview_name": "PreviewImage",
}


def lines() -> Iterator[str]:
    """The page: the classes of each module under what the module says of itself."""
    yield "# Nodes\n"
    yield "Written by `python -m nodes.catalogue > docs/nodes.md` from what the classes say."
    yield "`?`: an input that may be left out. `[]`: an output that is a list. `cases`: so many"
    yield "results recorded from ComfyUI involve the node; `tests/parity/` compares ours with them."
    yield ""
    cases = recorded_cases()
    module = ""
    for name, node in NODE_CLASSES.items():
        if node.__module__ != module:
            module = node.__module__
            yield f"\n## {_first_line(sys.modules[module].__doc__)}\n"
        proof = f" · cases: {cases[name]}" if cases[name] else ""
        about = _first_line(node.__doc__)
        yield f"- `{name}`: {about}. {_inputs(node)} → {_outputs(node)}{proof}"


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0].rstrip(".:")


def _inputs(node: type[Node]) -> str:
    types = node.INPUT_TYPES()
    described = [
        f"{name}{'?' if section == 'optional' else ''} {_kind(spec[0])}"
        for section in ("required", "optional")
        for name, spec in types.get(section, {}).items()
    ]
    return ", ".join(described) or "nothing"


def _kind(declared: Any) -> str:
    names = {
        "COMFY_MATCHTYPE_V3": "*",
        "COMFY_AUTOGROW_V3": "...",
        "COMFY_DYNAMICCOMBO_V3": "COMBO",
    }
    return "COMBO" if isinstance(declared, list) else names.get(declared, declared)


def _outputs(node: type[Node]) -> str:
    lists = getattr(node, "OUTPUT_IS_LIST", ()) or (False,) * len(node.RETURN_TYPES)
    names = getattr(node, "RETURN_NAMES", ()) or node.RETURN_TYPES
    described = [
        (_kind(kind) if name == kind else f"{name} {_kind(kind)}") + ("[]" if is_list else "")
        for name, kind, is_list in zip(names, node.RETURN_TYPES, lists, strict=True)
    ]
    return ", ".join(described) or "nothing"


def recorded_cases() -> Counter[str]:
    """How many recorded results involve each class."""
    counts: Counter[str] = Counter()
    for pattern, keys in _AREAS.items():
        for path in _RECORDS.glob(pattern):
            document = json.loads(path.read_text(encoding="utf-8"))
            for case in document.get("cases", [document]):
                counts.update(set(_named(case, keys)))
    for path in _RECORDS.glob(_FILES):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            counts[case.get("node") or _CLASS_OF_KIND[case["kind"]]] += 1
    return counts


def _named(value: Any, keys: frozenset[str]) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in keys and isinstance(item, str):
                yield item
            else:
                yield from _named(item, keys)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, keys)


if __name__ == "__main__":
    print("\n".join(lines()))
