"""Puts the application together: routes, with and without /api, and the middleware."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from server.api_document import path_shape
from server.body import DEEPEST
from server.errors import BadRequest
from server.middleware import build_middleware
from server.responses import json_response
from server.routes import (
    api_docs,
    front_end,
    history,
    internal,
    jobs,
    models,
    node_replacements,
    object_info,
    packs,
    pages,
    prompt,
    queue,
    sign_in,
    system,
    upload,
    user_settings,
    userdata,
    users,
    view,
    websocket,
)
from server.scopes import Scope
from server.services import SCOPES, SERVICES, Route, Services

API_PREFIX: Final = "/api"
_OWN: Final = "private, no-cache"

ROUTES: Final[list[Route]] = [
    *websocket.ROUTES,
    *prompt.ROUTES,
    *queue.ROUTES,
    *history.ROUTES,
    *jobs.ROUTES,
    *view.ROUTES,
    *upload.ROUTES,
    *object_info.ROUTES,
    *node_replacements.ROUTES,
    *models.ROUTES,
    *internal.ROUTES,
    *system.ROUTES,
    *users.ROUTES,
    *user_settings.ROUTES,
    *userdata.ROUTES,
    *packs.ROUTES,
    *pages.ROUTES,
    *sign_in.ROUTES,
    *front_end.ROUTES,
    *api_docs.ROUTES,
]


def build_app(services: Services) -> web.Application:
    """The application; it needs a running event loop."""
    settings = services.settings
    app = web.Application(
        middlewares=[build_middleware(settings), front_end.unknown_paths],
        client_max_size=settings.max_upload_bytes,
    )
    app[SERVICES] = services
    app[DEEPEST] = settings.max_json_depth
    app[SCOPES] = route_scopes()
    app.on_cleanup.append(_close_proxy)
    for method, path, unguarded, scope in ROUTES:
        handler = _guarded(unguarded, scope)
        has_head = method == "GET" and path != "/ws"
        for verb in (method, "HEAD") if has_head else (method,):
            for prefix in ("", API_PREFIX):
                app.router.add_route(verb, prefix + path, handler, expect_handler=_meet)
    return app


def route_scopes() -> dict[tuple[str, str], Scope]:
    """What a key must allow, by method and shape of path."""
    return {(method, path_shape(path)): scope for method, path, _, scope in ROUTES}


async def _meet(request: web.Request) -> web.Response | None:
    """Meet what the header `Expect` says; aiohttp's answer to what nobody can is plain text."""
    if request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None
    error = BadRequest("the header 'Expect' can only be '100-continue'")
    return json_response(error.body(), status=417)


def _guarded(handler: Handler, scope: Scope) -> Handler:
    """The handler, for those whose key allows it."""
    if scope is Scope.OPEN:
        return handler

    async def guarded(request: web.Request) -> web.StreamResponse:
        access = request.app[SERVICES].access
        with access.in_progress(access.admit(request, scope)):
            response = await handler(request)
        if access.is_on and not response.prepared:
            response.headers["Cache-Control"] = _OWN  # no proxy may show it to others
        return response

    return guarded


async def _close_proxy(app: web.Application) -> None:
    app[SERVICES].prompt_hooks.close()
    await app[SERVICES].pack_proxy.close()
