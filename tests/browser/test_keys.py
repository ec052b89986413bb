"""The web front end of a server that asks for a key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from server.keys import FILE_NAME, KeyFile
from server.scopes import Scope
from tests.browser.conftest import start_editor_server
from tests.browser.editor import Editor, text_to_image
from tests.client import Client
from tests.conftest import ServerProcess

pytestmark = pytest.mark.browser


@pytest.fixture
def key(tmp_path: Path) -> str:
    return KeyFile(tmp_path / "user" / FILE_NAME).create("ann", Scope.SUBMIT)


@pytest.fixture
def keyed_server(version: str, tmp_path: Path, key: str) -> Iterator[ServerProcess]:
    server = start_editor_server(version, tmp_path)
    yield server
    server.stop()


def test_a_person_signs_in_and_runs_a_workflow(
    page: Page, keyed_server: ServerProcess, key: str, version: str
) -> None:
    address = keyed_server.address
    editor = Editor(page, Client(address, key=key), version)
    editor.prepare()
    page.goto(address)
    page.get_by_label("asks for a key").fill("dk_wrong")
    page.get_by_role("button", name="sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    page.get_by_label("asks for a key").fill(key)
    page.get_by_role("button", name="sign in").click()
    page.wait_for_url(address + "/")
    editor.errors.clear()  # of the wrong key
    editor.open()
    editor.open_workflow("star", text_to_image(2))
    editor.run()
    editor.wait(f"({editor.picture_of('SaveImage')})?.includes('/api/view?')")
    editor.wait("[...document.querySelectorAll('img')].every((image) => image.complete)")
    assert key not in page.content()
    assert page.evaluate("document.cookie") == "", "no script can read the cookie"
    assert len(editor.client.get("/history").json()) == 1
    # The page asks where folders lie, which only administrators are told.
    assert [error for error in editor.errors if "/internal/folder_paths" not in error] == []
