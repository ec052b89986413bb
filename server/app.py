"""Puts the application together: routes, with and without /api, and the middleware."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from server.body import DEEPEST
from server.middleware import build_middleware
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
    system,
    upload,
    user_settings,
    userdata,
    users,
    view,
    websocket,
)
from server.services import SERVICES, Route, Services

API_PREFIX: Final = "/api"

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
    app.on_cleanup.append(_close_proxy)
    for method, path, handler in ROUTES:
        app.router.add_route(method, path, handler)
        app.router.add_route(method, API_PREFIX + path, handler)
        if method == "GET" and path != "/ws":
            app.router.add_route("HEAD", path, handler)
            app.router.add_route("HEAD", API_PREFIX + path, handler)
    return app


async def _close_proxy(app: web.Application) -> None:
    app[SERVICES].prompt_hooks.close()
    await app[SERVICES].pack_proxy.close()
