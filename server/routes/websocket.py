"""GET /ws: the socket on which clients hear of their jobs."""

from __future__ import annotations

from typing import Final

from aiohttp import WSMsgType, web

from executor.jobs import Address
from server.access import caller_of
from server.errors import BadRequest, TooManyClients
from server.scopes import Scope
from server.services import SERVICES, Route

_LARGEST_MESSAGE: Final = 4 * 1024 * 1024


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Serve one client until it closes."""
    hub = request.app[SERVICES].hub
    if hub.is_full:
        raise TooManyClients()
    # Frames are written past aiohttp's writer, which would have to know of them to compress.
    socket = web.WebSocketResponse(max_msg_size=_LARGEST_MESSAGE, compress=False)
    try:
        await socket.prepare(request)
    except ValueError:  # aiohttp expects a key that is ASCII
        raise BadRequest("the header 'Sec-WebSocket-Key' is broken") from None
    transport = request.transport
    if transport is None:  # closed already
        return socket
    caller = caller_of(request)
    client = Address(request.query.get("clientId", ""), caller.owner)
    connection = hub.join(client, transport, sees_all=caller.sees_all)
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                connection.hear(message.data, hub.features)
    finally:
        hub.leave(connection)
    return socket


ROUTES: Final[list[Route]] = [("GET", "/ws", websocket, Scope.READ)]
