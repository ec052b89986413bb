"""Bodies that are encoded and compressed once and sent many times, or not at all (304)."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from server.encodings import preferred_encoding

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
        accepted = request.headers.get("Accept-Encoding", "")
        if self.compressed is not None and preferred_encoding(accepted, ["gzip"]):
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=self.compressed, headers=headers)
        return web.Response(body=self.text, headers=headers)
