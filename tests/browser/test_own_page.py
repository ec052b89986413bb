"""The page of our own, which is there without any front end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.editor import LONG, text_to_image
from tests.conftest import ServerProcess

pytestmark = pytest.mark.browser


@pytest.fixture
def own_server(new_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A server without a front end, whatever is installed."""
    return new_server()


def test_our_own_page_shows_the_queue_and_the_last_pictures(
    page: Page, own_server: ServerProcess
) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(own_server.address + "/pages/index.html")
    expect(page.get_by_role("status")).to_have_text("ready")  # while no worker is
    expect(page.locator("#pictures")).to_contain_text("Nothing yet")
    client = own_server.client

    client.submit(text_to_image(2))
    shown = page.locator("#pictures img")
    expect(shown).to_have_count(1, timeout=60_000)
    expect(shown).to_have_js_property("naturalWidth", 128)

    running = client.submit(text_to_image(LONG))
    waiting = client.submit(text_to_image(LONG, seed=2))
    expect(page.locator("#running")).to_have_text("1", timeout=30_000)
    expect(page.locator("#pending")).to_have_text("1")
    for job in (waiting, running):
        page.get_by_label(f"cancel job {job}").click()
        expect(page.get_by_label(f"cancel job {job}")).to_have_count(0, timeout=30_000)
    expect(page.locator("#running")).to_have_text("0")
    assert errors == []
