"""Writes docs/nodes.md: `python -m nodes.catalogue > docs/nodes.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from nodes.registry import NODE_CLASSES


def lines() -> Iterator[str]:
    """The page: the classes of each module under what the module says of itself."""
    yield "# Nodes\n"
    yield "Written by `python -m nodes.catalogue > docs/nodes.md` from what the classes say.\n"
    module = ""
    for name, node in NODE_CLASSES.items():
        if node.__module__ != module:
            module = node.__module__
            yield f"\n## {_first_line(sys.modules[module].__doc__)}\n"
        yield f"- `{name}`: {_first_line(node.__doc__)}"


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0].rstrip(".:")


if __name__ == "__main__":
    print("\n".join(lines()))
