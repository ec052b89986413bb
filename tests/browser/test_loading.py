"""The front end loads, and what it shows first."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import start_editor_server
from tests.browser.editor import Editor

pytestmark = pytest.mark.browser


def test_the_page_loads_with_the_default_graph_and_without_errors(editor: Editor) -> None:
    assert {"KSampler", "VAEDecode", "SaveImage"} <= editor.classes()
    editor.page.wait_for_load_state("networkidle")
    assert editor.errors == []


def test_the_page_works_where_foreign_content_is_forbidden(
    browser: Browser, version: str, tmp_path: Path
) -> None:
    server = start_editor_server(version, tmp_path, "--disable-api-nodes")
    try:
        with browser.new_context() as context:
            editor = Editor(context.new_page(), server.client, version)
            editor.prepare()
            editor.open()
            editor.page.wait_for_load_state("networkidle")
            policy = server.client.get("/").headers["content-security-policy"]
            assert "default-src 'self'" in policy
            elsewhere = re.compile(r"api\.comfy\.org|https://huggingface\.co")
            assert [error for error in editor.errors if not elsewhere.search(error)] == []
    finally:
        server.stop()


def test_an_unknown_node_is_reported(editor: Editor) -> None:
    node = {"id": 1, "type": "NoSuchNode", "pos": [0, 0], "size": [200, 100], "order": 0, "mode": 0}
    node |= {"flags": {}, "inputs": [], "outputs": [], "properties": {}, "widgets_values": []}
    workflow = {"last_node_id": 1, "last_link_id": 0, "nodes": [node], "links": [], "version": 0.4}
    workflow |= {"groups": [], "config": {}, "extra": {}}
    editor.drop("unknown.json", json.dumps(workflow).encode(), "application/json")
    title = "This workflow has missing nodes" if editor.is_old else "Missing node: NoSuchNode"
    editor.page.get_by_text(title).first.wait_for()
    editor.page.get_by_text("NoSuchNode").first.wait_for()


def test_the_template_browser_shows_the_packaged_templates(editor: Editor) -> None:
    index = editor.client.get("/templates/index.json").json()
    titles = {template.get("title") for group in index for template in group["templates"]}
    editor.labelled("Templates").click()
    shown = editor.dialog.locator("h3:visible")
    shown.nth(5).wait_for()
    assert titles & set(shown.all_inner_texts())


def test_a_nodes_help_page_is_shown(editor: Editor) -> None:
    editor.click_node("KSampler")
    # The button floats at the node, where a panel of the page may lie above it.
    editor.page.get_by_test_id("info-button").dispatch_event("click")
    page = editor.client.get("/docs/KSampler/en.md").body.decode()
    sentence = max(page.splitlines(), key=len)
    editor.page.get_by_text(sentence[:40]).first.wait_for()
