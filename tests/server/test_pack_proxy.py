"""Requests for node packs when the worker's side fails: a site that stands in for it."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from executor.messages import Ask, PackMessage
from executor.packs import HOOK_PATH, LoadedPacks, PackReport, PackRoute
from server.settings import build_settings
from tests.client import Client, wait_until
from tests.server.graphs import graph as preview_graph
from tests.server.graphs import slow_graph
from tests.server.twin import Twin

ROUTES = [PackRoute(method="*", pattern="/pack/.*"), PackRoute(method="GET", pattern="/queue")]
Handler = Callable[[web.Request], Any]


@contextmanager
def serving(path: str, *handlers: tuple[str, Handler]) -> Iterator[None]:
    """An application on a Unix socket, in a thread of its own."""
    loop = asyncio.new_event_loop()
    runner: list[web.AppRunner] = []

    async def start() -> None:
        app = web.Application(client_max_size=0)
        for route, handler in handlers:
            app.router.add_route("*", route, handler)
        runner.append(
            web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        )
        await runner[0].setup()
        await web.UnixSite(runner[0], path).start()

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(runner[0].cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@pytest.fixture
def site() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="darkroom-") as folder:  # a socket's path is short
        yield f"{folder}/packs.sock"


@pytest.fixture
def new_twin(tmp_path: Path) -> Iterator[Callable[..., Twin]]:
    with ExitStack() as stack:

        def start(worker: dict[str, Any], **settings: object) -> Twin:
            base = {"base_directory": str(tmp_path / "base")}
            twin = Twin(build_settings(base | settings, {}), **worker)
            twin.start()
            stack.callback(twin.stop)
            return twin

        yield start


NewTwin = Callable[..., Twin]


def packs(**more: Any) -> LoadedPacks:
    return LoadedPacks(reports=[PackReport(name="pack", path="/p")], routes=ROUTES, **more)


async def hello(request: web.Request) -> web.Response:
    return web.json_response({"path": request.raw_path})


def test_a_path_reaches_the_pack_as_it_was_written(new_twin: NewTwin, site: str) -> None:
    with serving(site, ("/{rest:.*}", hello)):
        client = Client(new_twin({"packs": packs(), "site": site}).address)
        path = "/pack/a%2Fb%20c/%C3%A9?x=%26&y=1+2"
        assert client.get(path).json() == {"path": path}
        assert client.get("/other").status == 404


def test_a_worker_that_is_gone_is_a_503(new_twin: NewTwin, site: str) -> None:
    client = Client(new_twin({"packs": packs(), "site": site}).address)
    reply = client.get("/pack/x")
    assert (reply.status, reply.json()["error"]["type"]) == (503, "not_ready")


def test_routes_are_known_though_nobody_serves_them(new_twin: NewTwin) -> None:
    client = Client(new_twin({"packs": packs(), "site": None}).address)
    assert client.get("/pack/x").status == 503
    assert client.get("/nothing").status == 404


def test_an_answer_that_is_no_http_is_a_502(new_twin: NewTwin, site: str) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    with serving(site, ("/pack/x", hang_up), ("/pack/y", hello)):
        client = Client(new_twin({"packs": packs(), "site": site}).address)
        reply = client.get("/pack/x")
        assert (reply.status, reply.json()["error"]["type"]) == (502, "bad_gateway")
        assert client.get("/pack/y").status == 200


def test_a_body_over_the_limit_is_a_413(new_twin: NewTwin, site: str) -> None:
    async def count(request: web.Request) -> web.Response:
        return web.json_response(len(await request.read()))

    with serving(site, ("/pack/x", count)):
        twin = new_twin({"packs": packs(), "site": site}, max_upload_size=1)
        client = Client(twin.address)
        assert client.post("/pack/x", bytes(1_000_000)).json() == 1_000_000
        assert client.post("/pack/x", bytes(1_100_000)).status == 413
        chunks = (bytes(500_000) for _ in range(3))
        reply = client.request("POST", "/pack/x", chunks)  # type: ignore[arg-type]
        assert reply.status == 413


def test_a_client_that_goes_away_is_not_waited_for(new_twin: NewTwin, site: str) -> None:
    asked, gone = threading.Event(), threading.Event()

    async def wait(request: web.Request) -> web.Response:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return web.Response()

    with serving(site, ("/pack/x", wait)):
        twin = new_twin({"packs": packs(), "site": site})
        host, port = twin.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"GET /pack/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert asked.wait(30)
        assert gone.wait(30)


def test_headers_of_the_server_are_added_to_answers_of_packs(new_twin: NewTwin, site: str) -> None:
    with serving(site, ("/{rest:.*}", hello)):
        twin = new_twin({"packs": packs(), "site": site}, cors_origin="*", compress_responses=True)
        reply = Client(twin.address).get("/pack/x.js", {"Accept-Encoding": "gzip"})
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["cache-control"] == "no-cache"
        assert reply.headers["content-encoding"] == "gzip"


def test_server_sent_events_are_not_held_back_by_compression(new_twin: NewTwin, site: str) -> None:
    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        return response

    with serving(site, ("/pack/x", events)):
        twin = new_twin({"packs": packs(), "site": site}, compress_responses=True)
        reply = Client(twin.address).get("/pack/x", {"Accept-Encoding": "gzip"})
        assert "content-encoding" not in reply.headers
        assert reply.body == b"data: 1\n\n"


# Prompt handlers


def answering(*bodies: Any, status: int = 200) -> tuple[str, Handler]:
    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        for change in bodies:
            body = change(body) if callable(change) else change
        return web.json_response(body, status=status)

    return HOOK_PATH, answer


@pytest.mark.parametrize(
    ("handler", "is_changed"),
    [
        (answering(lambda body: body | {"prompt_id": "changed"}), True),
        (answering([1]), False),
        (answering(None), False),
        (answering({}, status=500), False),
    ],
)
def test_the_answer_of_the_hooks_is_used_if_it_is_a_body(
    new_twin: NewTwin, site: str, handler: tuple[str, Handler], is_changed: bool
) -> None:
    with serving(site, handler):
        twin = new_twin({"packs": packs(has_prompt_hooks=True), "site": site})
        prompt_id = Client(twin.address).submit(preview_graph(), prompt_id="given")
        assert prompt_id == ("changed" if is_changed else "given")


def test_packs_without_hooks_are_not_asked(new_twin: NewTwin, site: str) -> None:
    with serving(site, answering(lambda body: body | {"prompt_id": "changed"})):
        twin = new_twin({"packs": packs(), "site": site})
        assert Client(twin.address).submit(preview_graph(), prompt_id="given") == "given"


def test_numbers_reach_the_hooks_as_they_were_sent(new_twin: NewTwin, site: str) -> None:
    seen: list[bytes] = []

    async def keep(request: web.Request) -> web.Response:
        seen.append(await request.read())
        return web.Response(body=seen[-1])

    with serving(site, (HOOK_PATH, keep)):
        twin = new_twin({"packs": packs(has_prompt_hooks=True), "site": site})
        large = preview_graph()
        large["extra"] = {"class_type": "EmptyImage", "inputs": {"seed": 2**70, "x": float("nan")}}
        Client(twin.address).submit(large)
    assert str(2**70).encode() in seen[0]
    assert b"NaN" in seen[0]


def test_hooks_that_hang_are_given_up_and_asked_again_later(new_twin: NewTwin, site: str) -> None:
    release = threading.Event()
    asked: list[str] = []

    async def hang(request: web.Request) -> web.Response:
        body = await request.json()
        asked.append(body["prompt_id"])
        await asyncio.to_thread(release.wait, 60)
        return web.json_response(body)

    with serving(site, (HOOK_PATH, hang)):
        twin = new_twin(
            {"packs": packs(has_prompt_hooks=True), "site": site}, prompt_hook_timeout=0.2
        )
        client = Client(twin.address)
        try:
            client.submit(preview_graph(), prompt_id="1")
            began = time.monotonic()
            client.submit(preview_graph(), prompt_id="2")
            assert time.monotonic() - began < 20
            assert asked == ["1"]
        finally:
            release.set()

        def is_asked() -> bool:
            return client.submit(preview_graph(), prompt_id=uuid4().hex) in asked

        wait_until(is_asked, what="the hooks are asked again")


# What packs send and ask


def test_messages_of_packs_go_to_one_client_or_to_all(new_twin: NewTwin) -> None:
    twin = new_twin({})
    (worker,) = twin.workers
    client = Client(twin.address)
    with client.listen("one") as one, client.listen("two") as two:
        for message in (
            PackMessage(body=b'{"type": "for.one", "data": {}}', client_id="one"),
            PackMessage(body=b'{"type": "for.nobody", "data": {}}', client_id="none"),
            PackMessage(body=b"\0\0\0\3binary", is_binary=True),
            PackMessage(body=b'{"type": "for.all", "data": {"n": 1}}'),
        ):
            twin.loop.call_soon_threadsafe(worker.report, message)
        for each in (one, two):
            assert each.wait_for("for.all") == {"n": 1}
            assert each.frames == [b"\0\0\0\3binary"]
        assert "for.one" in one.kinds()
        assert "for.one" not in two.kinds()
        assert "for.nobody" not in one.kinds() + two.kinds()


def test_questions_of_packs_are_answered(new_twin: NewTwin) -> None:
    twin = new_twin({})
    (worker,) = twin.workers
    client = Client(twin.address)

    def ask(method: str, **arguments: Any) -> Any:
        ask_id = len(worker.answered) + 1
        question = Ask(ask_id=ask_id, method=method, arguments=arguments)
        twin.loop.call_soon_threadsafe(worker.report, question)
        wait_until(lambda: len(worker.answered) == ask_id, what=f"'{method}' is answered")
        answer = worker.answered[-1]
        assert answer.ask_id == ask_id
        return answer.error if answer.error is not None else answer.result

    first = client.submit(preview_graph())
    client.wait(first)
    history = ask("history", prompt_id=None, max_items=None, offset=-1)
    assert history == client.get("/history").json()
    assert list(ask("history", prompt_id=first, max_items=None, offset=-1)) == [first]
    assert ask("history", prompt_id="none", max_items=None, offset=-1) == {}

    running = client.submit(slow_graph(240))
    wait_until(lambda: client.get("/queue").json()["queue_running"], what="it runs")
    waiting = client.submit(preview_graph())
    queue = ask("queue")
    assert [item[1] for item in queue["running"]] == [running]
    assert queue["pending"] == client.get("/queue").json()["queue_pending"]
    assert ask("remaining") == 2
    submitted = ask("submit", prompt=preview_graph(), prompt_id="mine", number=3)
    assert submitted == {"prompt_id": "mine", "number": 3.0, "node_errors": {}}
    assert "PromptRejected" in ask("submit", prompt={})
    assert ask("cancel", prompt_ids=[waiting, "none"]) == 1
    assert ask("cancel", prompt_ids=None) == 1
    assert ask("forget", prompt_ids=[first]) == 1
    assert ask("forget", prompt_ids=None) == 2  # those that were cancelled
    assert ask("free", unload_models=True, free_memory=False) is None
    assert worker.freed == [(True, False)]
    assert "unknown question 'nonsense'" in ask("nonsense")
    with client.listen("me"):
        assert "me" in ask("clients")
    client.post("/interrupt")
    client.wait(running)


def test_the_twin_has_no_packs(new_twin: NewTwin) -> None:
    assert Client(new_twin({}).address).get("/node_packs").json() == []
