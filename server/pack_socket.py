"""WebSockets between clients and routes of node packs."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
from aiohttp import WSMsgType, hdrs, web
from multidict import CIMultiDict
from yarl import URL

from server.errors import BadGateway

_CLOSED_ABNORMALLY: Final = 1006  # says that no close frame came; it is never sent


async def bridge(
    request: web.Request, session: aiohttp.ClientSession, url: URL, headers: CIMultiDict[str]
) -> web.StreamResponse:
    """Carry messages both ways until either side closes; raises aiohttp.ClientError, BadGateway."""
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    protocols = [name.strip() for name in offered.split(",") if name.strip()]
    limit = request.client_max_size
    try:
        theirs = await session.ws_connect(
            url, headers=headers, protocols=protocols, max_msg_size=limit, autoclose=False
        )
    except aiohttp.WSServerHandshakeError as error:
        if error.status >= 400:
            return web.Response(status=error.status, reason=error.message)
        raise BadGateway(details=error.message) from error
    async with theirs:
        chosen = [theirs.protocol] if theirs.protocol else []
        ours = web.WebSocketResponse(
            protocols=chosen, max_msg_size=limit, compress=False, autoclose=False
        )
        await ours.prepare(request)
        up = asyncio.create_task(_carry(ours, theirs))
        down = asyncio.create_task(_carry(theirs, ours))
        try:
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            await theirs.close(code=_close_code(ours.close_code))
            await ours.close(code=_close_code(theirs.close_code))
        return ours


async def _carry(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    """Pass messages on until the source closes."""
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await target.send_bytes(message.data)


def _close_code(code: int | None) -> int:
    """What is told the other side."""
    return 1000 if code in (None, _CLOSED_ABNORMALLY, 1005) else int(code or 1000)
