"""How many of the official workflow templates have only classes that Darkroom knows.

`python -m tests.browser.template_classes [--all]` prints the share and what is missing, most used
first. The templates are data of a package that `python -m tests.browser.front_ends` fetches.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.browser.front_ends import DATA_FOLDER

TEMPLATES: Final = DATA_FOLDER / "comfyui_workflow_templates_json" / "templates"

_EDITOR_ONLY: Final = frozenset({"Note", "MarkdownNote", "Reroute", "PrimitiveNode"})
_SUBGRAPH: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Template:
    """A workflow that front ends offer."""

    name: str
    classes: frozenset[str]  # that a server must know
    usage: int  # how often it was opened, as the package says


def classes_of(workflow: Mapping[str, Any]) -> frozenset[str]:
    """The classes in a workflow as editors save it, those inside of its subgraphs too."""
    subgraphs = workflow.get("definitions", {}).get("subgraphs", [])
    kinds = {node["type"] for graph in (workflow, *subgraphs) for node in graph.get("nodes", [])}
    return frozenset(
        kind for kind in kinds if kind not in _EDITOR_ONLY and not _SUBGRAPH.fullmatch(kind)
    )


def open_templates(folder: Path) -> Iterator[Template]:
    """All templates but those of paid services, which the index marks."""
    index: list[dict[str, Any]] = json.loads((folder / "index.json").read_text())
    listed = {entry["name"]: entry for group in index for entry in group["templates"]}
    for name, entry in listed.items():
        if entry.get("openSource") is not False:
            workflow = json.loads((folder / f"{name}.json").read_text())
            yield Template(name=name, classes=classes_of(workflow), usage=entry.get("usage", 0))


def report(templates: Sequence[Template], known: Collection[str], *, most: int) -> str:
    """The share of templates whose classes are all known, and the missing classes."""
    missing = {template.name: template.classes.difference(known) for template in templates}
    whole = [template for template in templates if not missing[template.name]]
    users = sum(template.usage for template in templates) or 1
    used = sum(template.usage for template in whole) / users
    lines = [
        f"{len(whole)} of {len(templates)} templates have only known classes "
        f"({used:.0%} of their usage)"
    ]
    everywhere = Counter(name for names in missing.values() for name in names)
    alone = Counter(name for names in missing.values() if len(names) == 1 for name in names)
    lines += [
        f"{count:4} templates, {alone[name]:2} of them lack nothing else: {name}"
        for name, count in sorted(everywhere.items(), key=lambda item: (-item[1], item[0]))[:most]
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the report on the fetched templates."""
    from nodes.registry import NODE_CLASSES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="list every missing class")
    arguments = parser.parse_args()
    if not TEMPLATES.is_dir():
        parser.error("there are no templates: run python -m tests.browser.front_ends first")
    templates = list(open_templates(TEMPLATES))
    print(report(templates, NODE_CLASSES, most=len(NODE_CLASSES) if arguments.all else 30))


if __name__ == "__main__":
    main()
