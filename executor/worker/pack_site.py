"""Serves the routes that node packs have registered, on a Unix socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from executor.packs import HOOK_PATH, OWNER_HEADER, PackRoute
from executor.worker.request_owner import request_owner

log = logging.getLogger(__name__)

_SOCKET_NAME: Final = "packs.sock"
_API_PREFIX: Final = "/api"
_OPENING_S: Final = 30.0  # that the packs' own start-up code may take

Hook = Callable[[dict[str, Any]], dict[str, Any]]


@web.middleware
async def _note_owner(request: web.Request, handler: Handler) -> web.StreamResponse:
    request_owner.set(request.headers.get(OWNER_HEADER))
    return await handler(request)


class PackSite:
    """The application that packs know as `PromptServer.instance.app`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, app: web.Application, routes: web.RouteTableDef
    ) -> None:
        self._loop = loop
        self._app = app
        self._table = routes
        self.routes: list[PackRoute] = []

    def add_routes(self) -> None:
        """Take the routes that packs have registered, each with and without /api."""
        for route in self._table:
            for prefix in ("", _API_PREFIX):
                self._add(route, prefix)
        self.routes = list(_described(self._app.router))

    def _add(self, route: web.AbstractRouteDef, prefix: str) -> None:
        try:
            if isinstance(route, web.RouteDef):
                options = _unnamed(route.kwargs)
                path = prefix + route.path
                route = web.RouteDef(route.method, path, route.handler, options)
            elif isinstance(route, web.StaticDef):
                route = web.StaticDef(prefix + route.prefix, route.path, _unnamed(route.kwargs))
            route.register(self._app.router)
        except (RuntimeError, ValueError) as error:  # taken by another pack, or no proper path
            log.warning("a node pack's route is not served: %s", error)

    def open(self, folder: Path, hook: Hook) -> str:
        """Serve from now on; the path of the socket. Raises OSError, TimeoutError."""

        async def answer_hook(request: web.Request) -> web.Response:
            body = await request.read()
            changed = hook(json.loads(body))
            return web.Response(text=json.dumps(changed), content_type="application/json")

        self._app.middlewares.insert(0, _note_owner)
        self._app.router.add_post(HOOK_PATH, answer_hook)
        path = str(folder / _SOCKET_NAME)
        run_to_end(self._loop, asyncio.wait_for(self._serve(path), _OPENING_S))
        return path

    async def _serve(self, path: str) -> None:
        for handlers in (self._app.on_startup, self._app.on_shutdown):
            handlers[:] = [_guarded(handler) for handler in handlers]
        runner = web.AppRunner(self._app, access_log=None, handle_signals=False)
        await runner.setup()
        await web.UnixSite(runner, path).start()

    def run(self) -> None:
        """Let the packs' loop run: requests are answered, tasks of packs go on."""

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            while True:  # tasks of packs may stop the loop, or try to end the process
                try:
                    self._loop.run_forever()
                except BaseException:
                    log.exception("a task of a node pack tried to end the process")

        threading.Thread(target=run, name="packs", daemon=True).start()


def run_to_end(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on this loop, whatever tasks of packs do meanwhile."""
    task = loop.create_task(coroutine)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except BaseException:
            if task.done():
                raise
            log.exception("a task of a node pack tried to end the process")


def _unnamed(options: dict[str, Any]) -> dict[str, Any]:
    """Two routes may not have one name, and each is added twice."""
    return {key: value for key, value in options.items() if key != "name"}


def _guarded(
    handler: Callable[[web.Application], Awaitable[object]],
) -> Callable[[web.Application], Awaitable[None]]:
    """A pack whose start-up code fails takes nobody's routes away."""

    async def guarded(app: web.Application) -> None:
        try:
            await handler(app)
        except Exception:
            log.exception("the start-up code of a node pack's application failed")

    return guarded


def _described(router: web.UrlDispatcher) -> Iterator[PackRoute]:
    """What the server must know to tell which paths are the packs'."""
    seen: set[tuple[str, str]] = set()
    for resource in router.resources():
        known = resource.get_info()
        if "path" in known:
            pattern = re.escape(known["path"])
        elif "pattern" in known:
            pattern = known["pattern"].pattern
        elif "prefix" in known:  # static files, or an application below this path
            pattern = re.escape(known["prefix"]) + "(/.*)?"
        else:
            pattern = ".*"
        methods = {route.method for route in resource} if "app" not in known else {"*"}
        for method in sorted(methods):
            if (method, pattern) not in seen:
                seen.add((method, pattern))
                yield PackRoute(method=method, pattern=pattern)
