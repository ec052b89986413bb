"""A chromium, a server for each version of the web front end, and pages of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.browser import front_ends
from tests.browser.editor import Editor
from tests.client import Client, wait_until
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
_VIEW: Final = ViewportSize(width=1400, height=900)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test may be repeated: a page that has no time drops clicks and what it had to show."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=2))


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
def open_editor(
    browser: Browser,
    version: str,
    editor_servers: dict[str, ServerProcess],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Callable[[], Editor]]:
    """Opens the front end, each time as a browser that has never seen it before."""
    client = editor_servers[version].client
    editors: list[Editor] = []

    def open_one() -> Editor:
        context = browser.new_context(viewport=_VIEW)
        editors.append(Editor(context.new_page(), client, version))
        editors[-1].prepare()
        editors[-1].open()
        return editors[-1]

    yield open_one
    for number, editor in enumerate(editors):
        if request.node.stash.get(HAS_FAILED, False):
            file = tmp_path / f"page{number}.png"
            editor.page.screenshot(path=file)
            print("what the page showed:", file)
        editor.page.context.close()
    empty(client)


HAS_FAILED: Final = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the fixtures of a test that it has failed."""
    report = yield
    if report.failed:
        item.stash[HAS_FAILED] = True
    return report


def empty(client: Client) -> None:
    """Leave no job behind for the next test."""
    client.post("/queue", {"clear": True})
    client.post("/interrupt", {})
    wait_until(lambda: not client.get("/queue").json()["queue_running"], what="nothing runs")
    client.post("/history", {"clear": True})


@pytest.fixture
def editor(open_editor: Callable[[], Editor]) -> Editor:
    """The opened front end."""
    return open_editor()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page."""
    with browser.new_context(viewport=_VIEW) as context:
        yield context.new_page()
