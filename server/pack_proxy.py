"""Hands requests that are for node packs to the worker in which the packs live, and relays answers.

Bodies are streamed both ways, so that uploads, downloads and server-sent events work as in one
process. What a pack answers is passed on as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from executor.packs import OWNER_HEADER, USER_HEADER, LoadedPacks, RouteTable
from server.access import Caller
from server.credentials import without_credentials, without_token
from server.errors import BadGateway, PacksNotReady, TooLarge
from server.pack_socket import bridge
from server.users import user_of_key

if TYPE_CHECKING:  # comes with the engine, which is imported later
    from executor.engine import Engine

log = logging.getLogger(__name__)

T = TypeVar("T")

# Headers of one connection, which mean nothing on the next (RFC 9110 section 7.6.1).
_OF_CONNECTION: Final = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OF_HANDSHAKE: Final = "sec-websocket-"
_CONNECT_S: Final = 5.0
_LOOK_S: Final = 1.0  # between two looks whether the client is still there


class PackProxy:
    """Knows which paths are the packs', and the worker that serves them."""

    def __init__(self) -> None:
        self._packs = LoadedPacks()
        self._table = RouteTable([])
        self._site: str | None = None
        self._session: aiohttp.ClientSession | None = None

    def serves(self, engine: Engine, method: str, path: str) -> bool:
        """Whether a pack has a route for this method and (percent-encoded) path."""
        packs = engine.definitions.packs
        if packs is not self._packs:
            self._packs, self._table = packs, RouteTable(packs.routes)
        return self._table.serves(method, path)

    async def forward(
        self, engine: Engine, request: web.Request, caller: Caller
    ) -> web.StreamResponse:
        """Have a pack answer a request; raises PacksNotReady, BadGateway, TooLarge."""
        session = await self.session(engine)
        headers = without_credentials(_passed_on(request.headers))
        headers["X-Forwarded-For"] = request.remote or ""
        headers["X-Forwarded-Proto"] = request.scheme
        for name, value in ((OWNER_HEADER, caller.owner), (USER_HEADER, user_of_key(caller))):
            headers.popall(name, None)
            if value is not None:
                headers[name] = value
        url = _url(request)
        try:
            if _is_upgrade(request):
                handshake = [name for name in headers if name.lower().startswith(_OF_HANDSHAKE)]
                for name in handshake:
                    headers.popall(name, None)
                return await bridge(request, session, url, headers)
            return await self._relay(session, request, url, headers)
        except aiohttp.ClientConnectorError as error:
            raise PacksNotReady() from error
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error.__cause__, TooLarge):
                raise error.__cause__ from None
            raise BadGateway(details=str(error)) from error

    async def _relay(
        self,
        session: aiohttp.ClientSession,
        request: web.Request,
        url: URL,
        headers: CIMultiDict[str],
    ) -> web.StreamResponse:
        body: AsyncIterator[bytes] | None = None
        if request.body_exists:
            if hdrs.CONTENT_ENCODING in headers:  # aiohttp has decoded it
                headers.popall(hdrs.CONTENT_ENCODING)
                headers.popall(hdrs.CONTENT_LENGTH, None)
            body = _pieces(request)
        answer = await _while_connected(
            request,
            session.request(request.method, url, headers=headers, data=body, allow_redirects=False),
        )
        return Relayed(answer)

    async def session(self, engine: Engine) -> aiohttp.ClientSession:
        """Connections to the worker that serves the packs; raises PacksNotReady."""
        site = engine.pool.site
        if site is None:
            raise PacksNotReady()
        session, earlier = self._session, self._session
        if session is None or site != self._site:
            session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(site, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
            # In place before anything is awaited: another request may ask meanwhile.
            self._session, self._site = session, site
            if earlier is not None:
                await earlier.close()
        return session

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class Relayed(web.StreamResponse):
    """A pack's answer, which is passed on as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        headers = _passed_on(answer.headers)
        super().__init__(status=answer.status, reason=answer.reason, headers=headers)
        self._answer = answer

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        try:
            writer = await super().prepare(request)
            async for piece in self._answer.content.iter_any():
                await self.write(piece)
            await self.write_eof()
        except aiohttp.ClientError as error:
            # The head is out: all that can be told is that the rest will not come.
            raise ConnectionResetError(f"a pack's answer broke off: {error}") from error
        finally:
            self._answer.close()
        return writer


async def _while_connected(request: web.Request, coroutine: Coroutine[Any, Any, T]) -> T:
    """Wait for as long as the client does: a pack may take its time."""
    task = asyncio.ensure_future(coroutine)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_LOOK_S)
            transport = request.transport
            if not task.done() and (transport is None or transport.is_closing()):
                raise ConnectionResetError("the client went away")
        return task.result()
    finally:
        task.cancel()


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes; raises TooLarge."""
    limit, size = request.client_max_size, 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if limit and size > limit:
            raise TooLarge(limit)
        yield piece


def _passed_on(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Headers without those of one connection."""
    named = {
        name.strip().lower()
        for value in headers.getall(hdrs.CONNECTION, ())
        for name in value.split(",")
    }
    dropped = _OF_CONNECTION | named
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in dropped)


def _is_upgrade(request: web.Request) -> bool:
    return (
        request.method == "GET"
        and request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
        and "upgrade" in request.headers.get(hdrs.CONNECTION, "").lower()
    )


def _url(request: web.Request) -> URL:
    """Where the worker serves the same path. The host is the client's: packs may show it."""
    return URL(f"http://packs{without_token(request.raw_path)}", encoded=True)
