"""GET and POST /sign_in, POST /sign_out: how a browser gets to send an API key with all it asks."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from server.credentials import TOKEN_PARAMETER, forget_cookie, keep_in_cookie
from server.errors import BadRequest, Forbidden
from server.routes.pages import PAGES, POLICY
from server.scopes import Scope
from server.services import SERVICES, Route

_PAGE: Final = PAGES / "sign-in.html"
_MESSAGE: Final = "<!-- message -->"
_NOT_VALID: Final = '<p id="state" role="alert">This key is not valid.</p>'
_LARGEST_FORM: Final = 4096
# Without a referrer browsers would send forms with the origin `null`.
_HEADERS: Final = {
    "Content-Security-Policy": POLICY.replace("form-action 'none'", "form-action 'self'"),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


async def show_form(request: web.Request) -> web.Response:
    """A page that asks for a key."""
    return await sign_in_page(status=200)


async def sign_in(request: web.Request) -> web.Response:
    """Keep the key of the form in a cookie, then lead to the front end."""
    if not request.app[SERVICES].access.is_own_page(request):
        raise Forbidden("a page of another origin may not sign in")
    body = await _read(request)
    token = parse_qs(body.decode(errors="replace")).get(TOKEN_PARAMETER, [""])[0].strip()
    return await signed_in(request, token)


async def sign_out(request: web.Request) -> web.Response:
    """Forget the cookie."""
    if not request.app[SERVICES].access.is_own_page(request):
        raise Forbidden("a page of another origin may not sign out")
    response = _redirect("/sign_in")
    forget_cookie(response)
    return response


async def signed_in(request: web.Request, token: str) -> web.Response:
    """The cookie and the way to the front end's bare address; the form again for a wrong key."""
    access = request.app[SERVICES].access
    if access.is_on and access.find(token) is None:
        access.note_failure(request)
        return await sign_in_page(status=401, is_wrong=True)
    response = _redirect("/")
    if access.is_on:
        keep_in_cookie(request, response, token)
    return response


async def sign_in_page(*, status: int, is_wrong: bool = False) -> web.Response:
    """The form."""
    page = await asyncio.to_thread(_PAGE.read_text, encoding="utf-8")
    text = page.replace(_MESSAGE, _NOT_VALID if is_wrong else "")
    return web.Response(text=text, status=status, content_type="text/html", headers=_HEADERS)


def _redirect(path: str) -> web.Response:
    return web.Response(status=303, headers=_HEADERS | {"Location": path})


async def _read(request: web.Request) -> bytes:
    """The form; raises BadRequest for one that is far too long."""
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        if len(body) > _LARGEST_FORM:
            raise BadRequest("the form is too long")
    return bytes(body)


ROUTES: Final[list[Route]] = [
    ("GET", "/sign_in", show_form, Scope.OPEN),
    ("POST", "/sign_in", sign_in, Scope.OPEN),
    ("POST", "/sign_out", sign_out, Scope.OPEN),
]
