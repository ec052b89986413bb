"""Where in a request an API key may be: in a header, the address, or a cookie of our own pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict

from server.keys import TOKEN_PREFIX
from server.origin import HostRules

KEY_HEADER: Final = "X-API-Key"
TOKEN_PARAMETER: Final = "token"
COOKIE: Final = "darkroom_key"

_BEARER: Final = "bearer "
_IN_QUERY: Final = f"{TOKEN_PARAMETER}={TOKEN_PREFIX}"
_COOKIE_S: Final = 365 * 24 * 3600


def presented_tokens(request: web.Request, rules: HostRules) -> Iterator[str]:
    """All tokens that a request brings; more than one where a proxy or a browser adds its own.

    Addresses count for GET and HEAD only: for pictures, downloads and WebSockets, which cannot have
    headers. A cookie counts only where the browser says that a page of this server asks: sites of
    the same host on other ports get it sent along too.
    """
    headers = request.headers
    authorization = headers.get(hdrs.AUTHORIZATION, "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        yield authorization[len(_BEARER) :].strip()
    if KEY_HEADER in headers:
        yield headers[KEY_HEADER].strip()
    if TOKEN_PARAMETER in request.query and request.method in ("GET", "HEAD"):
        yield request.query[TOKEN_PARAMETER]
    if hdrs.COOKIE in headers and rules.is_own_page(headers):
        token = request.cookies.get(COOKIE)
        if token:
            yield token


def without_credentials(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """The headers without API keys of ours: for node packs, which need none and may log them."""
    for name in (hdrs.AUTHORIZATION, KEY_HEADER):
        if TOKEN_PREFIX in headers.get(name, ""):
            headers.popall(name)
    if hdrs.REFERER in headers:
        headers[hdrs.REFERER] = without_token(headers[hdrs.REFERER])
    cookies = headers.get(hdrs.COOKIE)
    if cookies is not None and COOKIE in cookies:
        kept = [part for part in cookies.split(";") if part.partition("=")[0].strip() != COOKIE]
        headers[hdrs.COOKIE] = ";".join(kept).strip()
    return headers


def without_token(raw_path: str) -> str:
    """The path and query without a key of ours in the latter; all else as it came."""
    path, mark, query = raw_path.partition("?")
    if TOKEN_PREFIX not in query:
        return raw_path
    kept = [part for part in query.split("&") if not part.startswith(_IN_QUERY)]
    return path + mark + "&".join(kept)


def keep_in_cookie(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """Have the browser send the key with all that pages of this server ask for."""
    is_https = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
    response.set_cookie(
        COOKIE,
        token,
        max_age=_COOKIE_S,
        path="/",
        secure=is_https,
        httponly=True,
        samesite="Strict",
    )


def forget_cookie(response: web.StreamResponse) -> None:
    """Have the browser forget it."""
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
