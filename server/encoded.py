"""Bodies that are encoded and compressed once and sent many times, or not at all (304)."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from typing import Final

from aiohttp import web

_WORTH_COMPRESSING: Final = 1024  # bytes


@dataclass(frozen=True, kw_only=True)
class EncodedBody:
    """A JSON body with its tag and its compressed form."""

    text: bytes
    compressed: bytes | None  # gzip; None where it is not worth while
    tag: str

    @classmethod
    def make(cls, text: bytes) -> EncodedBody:
        """Takes some ms for a large text: call it in a thread."""
        return cls(
            text=text,
            compressed=gzip.compress(text, 6) if len(text) >= _WORTH_COMPRESSING else None,
            tag=hashlib.blake2b(text, digest_size=16).hexdigest(),
        )

    def respond(self, request: web.Request) -> web.Response:
        """The answer that suits the request's `If-None-Match` and `Accept-Encoding`."""
        # Weak: the same tag stands for the plain and for the compressed form.
        headers = {"ETag": f'W/"{self.tag}"', "Vary": "Accept-Encoding"}
        if any(known.value in (self.tag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = "application/json; charset=utf-8"
        if self.compressed is not None and accepts_gzip(request.headers.get("Accept-Encoding", "")):
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=self.compressed, headers=headers)
        return web.Response(body=self.text, headers=headers)


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header names gzip, or `*`, and does not refuse it (RFC 9110 section 12.5.3)."""
    qualities: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        qualities[coding] = _quality(parameters)
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
