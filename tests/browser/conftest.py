"""A chromium, a server for each version of the web front end, and pages of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import front_ends
from tests.browser.editor import Editor
from tests.conftest import ROOT, ServerProcess, start_server

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM: Final = next((found for name in _NAMES if (found := shutil.which(name))), None)
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_VIEW: Final = {"width": 1400, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a module, not of all: while it is open, no other test could run an event loop."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS)) as browser,
    ):
        yield browser


@pytest.fixture(scope="session")
def editor_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, ServerProcess]]:
    """Servers by the version of their front end; each is started by the first test of it."""
    with ExitStack() as stack:
        servers = _Servers(tmp_path_factory, stack)
        yield servers


class _Servers(dict[str, ServerProcess]):
    def __init__(self, folders: pytest.TempPathFactory, stack: ExitStack) -> None:
        super().__init__()
        self._folders, self._stack = folders, stack

    def __missing__(self, version: str) -> ServerProcess:
        server = start_editor_server(version, self._folders.mktemp("editor"))
        self._stack.callback(server.stop)
        self[version] = server
        return server


def start_editor_server(version: str, base: Path, *flags: str) -> ServerProcess:
    """A server that finds the packages of that version installed."""
    packages = [ROOT, front_ends.folder(version), front_ends.DATA_FOLDER]
    path = os.pathsep.join(str(package) for package in packages)
    return start_server(
        base, "--preview-method", "latent2rgb", *flags, environ={"PYTHONPATH": path}
    )


@pytest.fixture(params=front_ends.VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each version of the front end that is tested."""
    wanted: str = request.param
    if not front_ends.is_fetched(wanted):
        pytest.skip("the front ends are missing: python -m tests.browser.front_ends")
    return wanted


@pytest.fixture
def editor(
    browser: Browser, version: str, editor_servers: dict[str, ServerProcess]
) -> Iterator[Editor]:
    """The opened front end, with an empty queue and a first visit behind it."""
    client = editor_servers[version].client
    with browser.new_context(viewport=_VIEW) as context:
        editor = Editor(context.new_page(), client, version)
        editor.prepare()
        editor.open()
        yield editor
        editor.end()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page."""
    with browser.new_context(viewport=_VIEW) as context:
        yield context.new_page()
