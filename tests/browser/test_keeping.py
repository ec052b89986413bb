"""What the front end keeps on the server: another browser finds it again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.editor import Editor, text_to_image
from tests.client import wait_until

pytestmark = pytest.mark.browser


def test_settings_are_kept(open_editor: Callable[[], Editor]) -> None:
    editor = open_editor()
    before = editor.client.get("/settings/Comfy.LinkRenderMode").json()
    with editor.page.expect_response("**/api/settings/Comfy.LinkRenderMode"):
        editor.page.get_by_test_id("toggle-link-visibility-button").click()
    after = editor.client.get("/settings/Comfy.LinkRenderMode").json()
    assert after != before

    setting = "app.extensionManager.setting.get('Comfy.LinkRenderMode')"
    assert open_editor().page.evaluate(setting) == after


def test_workflows_are_kept(open_editor: Callable[[], Editor]) -> None:
    editor = open_editor()
    editor.open_workflow("draft", text_to_image(3, seed=1234))
    editor.page.keyboard.press("Control+s")
    editor.dialog.locator("input").fill("kept workflow")
    editor.page.keyboard.press("Enter")
    editor.dialog.wait_for(state="hidden")
    wait_until(
        lambda: "kept workflow.json" in editor.client.get("/userdata", dir="workflows").json(),
        what="the workflow is stored",
    )

    other = open_editor()
    other.labelled("Workflows").click()
    other.page.get_by_text("kept workflow").first.click()
    other.wait(
        "app.graph.nodes.some((node) => node.widgets?.some((field) => field.value === 1234))"
    )
    assert "CheckpointLoaderSimple" in other.classes()
    assert other.errors == []
