"""What every request passes: who may ask, errors into responses, cache and CORS headers."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from executor.error_details import without_paths
from executor.jobs import StoreUnavailable
from server.encodings import preferred_encoding
from server.errors import BadRequest, Forbidden, ServerError, StorageUnavailable, TooLarge
from server.origin import HostRules
from server.responses import json_response
from server.settings import Settings
from server.slow_bodies import BodyWatch

log = logging.getLogger(__name__)

_IMAGES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}
)
# Files that clients write, also pictures: an old answer, or another user's, would be wrong.
_CHANGING: Final = ("/userdata/", "/api/userdata/")
ANY_ORIGIN: Final = "*"
_DAY: Final = "public, max-age=86400"
_HOUR: Final = "public, max-age=3600"

_API_NODES_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self' data:; frame-src 'self'; object-src 'self'"
)


def build_middleware(settings: Settings) -> Middleware:
    """The one middleware of the application."""
    cors_headers = _cors_headers(settings.cors_origin)
    rules = HostRules(settings.listen, settings.trusted_hosts)
    limit, hide_details = settings.max_upload_bytes, settings.hides_error_details

    least_bytes = int(settings.body_timeout * settings.body_min_speed * 1024)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers
        if settings.cors_origin != ANY_ORIGIN and rules.refuses_host(headers.get("Host")):
            return _error_response(_unknown_host(headers["Host"]))
        if cors_headers is None and rules.is_foreign(request.method, headers):
            return web.Response(status=403)
        if request.method == "OPTIONS":
            response: web.StreamResponse = web.Response()
        elif (request.content_length or 0) > limit:
            response = _error_response(TooLarge(limit))
        elif request.content.is_eof():
            response = await _respond(request, handler, hide_details)
        else:
            watch = BodyWatch(request, settings.body_timeout, least_bytes)
            try:
                response = await _respond(request, handler, hide_details)
            finally:
                watch.end()
        if response.prepared:  # a WebSocket: its headers are gone already
            return response
        _set_cache_header(request.path, response)
        if cors_headers is not None:
            response.headers.update(cors_headers)
        if settings.disable_api_nodes:
            response.headers.setdefault("Content-Security-Policy", _API_NODES_POLICY)
        if settings.compress_responses and _is_text(response):
            _compress(request, response)
        return response

    return middleware


async def _respond(
    request: web.Request, handler: Handler, hide_details: bool
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ServerError as error:
        if hide_details:
            error.details = without_paths(error.details)
        return _error_response(error)
    except StoreUnavailable as error:
        return _error_response(StorageUnavailable(details=str(error)))
    except web.HTTPRequestEntityTooLarge:
        return _error_response(TooLarge(request.client_max_size))
    except web.HTTPException as error:
        if error.status < 400:
            return error
        body = {"type": "http_error", "message": error.reason, "details": "", "extra_info": {}}
        response = json_response({"error": body}, status=error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except HttpProcessingError as error:  # the body breaks the rules of HTTP or MIME
        return _error_response(BadRequest("the request is broken", details=error.message))
    except web.RequestPayloadError as error:  # or its encoding is not what the header says
        return _error_response(BadRequest("the request is broken", details=str(error)))
    except ConnectionResetError:  # the client went away: nobody reads the answer
        raise
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _error_response(ServerError())


def _error_response(error: ServerError) -> web.Response:
    response = json_response(error.body(), status=error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.challenge is not None:
        response.headers["WWW-Authenticate"] = error.challenge
    return response


def _unknown_host(host: str) -> Forbidden:
    return Forbidden(
        f"this server does not answer to the host name {host!r}",
        details="the setting 'trusted_hosts' (--trusted-hosts) lists the names that it answers to",
    )


def _cors_headers(origin: str) -> dict[str, str] | None:
    if not origin:
        return None
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "POST, GET, DELETE, PUT, OPTIONS, PATCH",
        "Access-Control-Allow-Headers": "Content-Type, Authorization, X-API-Key",
        "Access-Control-Allow-Credentials": "true",
    }


def _set_cache_header(path: str, response: web.StreamResponse) -> None:
    if "." not in path:
        return
    value = cache_control(path, response.status)
    if value is not None:
        response.headers.setdefault("Cache-Control", value)


def cache_control(path: str, status: int) -> str | None:
    """The Cache-Control header for a path, by its extension; None: no header."""
    if path.startswith(_CHANGING):
        return "no-cache"
    name = path.rpartition("/")[2]
    extension = PurePosixPath(name).suffix.lower()
    if path.endswith((".js", ".css")) or (name.startswith("index") and name.endswith(".json")):
        return "no-cache"
    if extension not in _IMAGES:
        return None
    if 200 <= status < 300 or status in (301, 308):
        return _DAY
    if status in (302, 303, 307):
        return "no-cache"
    return _HOUR if status == 404 else None


def _is_text(response: web.StreamResponse) -> bool:
    kind = response.content_type
    if kind == "text/event-stream":  # each event is to arrive at once
        return False
    return kind == "application/json" or kind.startswith("text/")


def _compress(request: web.Request, response: web.StreamResponse) -> None:
    if "Content-Encoding" in response.headers or "Range" in request.headers:
        return  # compressed already, or a part of what is not
    if preferred_encoding(request.headers.get("Accept-Encoding", ""), ["gzip"]):
        response.enable_compression(web.ContentCoding.gzip)
