"""The count of templates whose classes are all known."""

from __future__ import annotations

import json
from pathlib import Path

from tests.browser.template_classes import Template, classes_of, open_templates, report

SUBGRAPH = "0a1b2c3d-0000-4000-8000-0123456789ab"
WORKFLOW = {
    "nodes": [{"type": "LoadImage"}, {"type": "MarkdownNote"}, {"type": SUBGRAPH}],
    "definitions": {"subgraphs": [{"id": SUBGRAPH, "nodes": [{"type": "ImageBlur"}]}]},
}


def test_classes_inside_of_subgraphs_count_and_those_of_the_editor_do_not() -> None:
    assert classes_of(WORKFLOW) == {"LoadImage", "ImageBlur"}


def test_templates_of_paid_services_do_not_count(tmp_path: Path) -> None:
    entries = [{"name": "free", "usage": 3}, {"name": "paid", "openSource": False}]
    (tmp_path / "index.json").write_text(json.dumps([{"templates": entries}]))
    (tmp_path / "free.json").write_text(json.dumps(WORKFLOW))
    assert list(open_templates(tmp_path)) == [
        Template(name="free", classes=frozenset({"LoadImage", "ImageBlur"}), usage=3)
    ]


def test_the_report_says_what_is_missing_and_where_nothing_else_is() -> None:
    templates = [
        Template(name="whole", classes=frozenset({"A"}), usage=1),
        Template(name="one", classes=frozenset({"A", "B"}), usage=2),
        Template(name="two", classes=frozenset({"B", "C"}), usage=1),
    ]
    assert report(templates, {"A"}, most=9).splitlines() == [
        "1 of 3 templates have only known classes (25% of their usage)",
        "   2 templates,  1 of them lack nothing else: B",
        "   1 templates,  0 of them lack nothing else: C",
    ]
