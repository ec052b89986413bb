"""Bytes that go out on a WebSocket: RFC 6455 frames, and the binary messages inside them.

A broadcast is framed once for all sockets, which aiohttp's own writer cannot do.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from executor.messages import NodeText, PackMessage, Preview

_FINAL_TEXT: Final = 0x81
_FINAL_BINARY: Final = 0x82
_FINAL_CLOSE: Final = 0x88
_FINAL_PING: Final = 0x89
_GOING_AWAY: Final = 1001

_PREVIEW: Final = 1
_NODE_TEXT: Final = 3
_PREVIEW_WITH_METADATA: Final = 4
_IMAGE_FORMATS: Final = {"image/jpeg": 1, "image/png": 2}
_METADATA: Final = (
    "node_id",
    "prompt_id",
    "display_node_id",
    "parent_node_id",
    "real_node_id",
)


def _header(first: int, length: int) -> bytes:
    """An unmasked frame header (RFC 6455 section 5.2)."""
    if length < 126:
        return bytes((first, length))
    if length < 1 << 16:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)


def text_frame(text: bytes) -> bytes:
    """A text message, UTF-8."""
    return _header(_FINAL_TEXT, len(text)) + text


def message_frame(message_type: str, data: object) -> bytes:
    """A text message `{"type": ..., "data": ...}`."""
    return text_frame(msgspec.json.encode({"type": message_type, "data": data}))


def ping_frame() -> bytes:
    """A ping without a payload."""
    return _header(_FINAL_PING, 0)


def close_frame() -> bytes:
    """A close that says that the server ends."""
    return _header(_FINAL_CLOSE, 2) + _GOING_AWAY.to_bytes(2, "big")


def plain_preview_frame(preview: Preview) -> bytes:
    """Binary event 1: the format of the image, then the image."""
    head = struct.pack("!II", _PREVIEW, _IMAGE_FORMATS.get(preview.image_type, 1))
    return _binary_frame(head, preview.image)


def described_preview_frame(preview: Preview) -> bytes:
    """Binary event 4: length and text of a JSON object that names the node, then the image."""
    known = {key: preview.metadata.get(key) for key in _METADATA}
    described = msgspec.json.encode(known | {"image_type": preview.image_type})
    head = struct.pack("!II", _PREVIEW_WITH_METADATA, len(described)) + described
    return _binary_frame(head, preview.image)


def node_text_frame(event: NodeText) -> bytes:
    """Binary event 3: length and id of the node, then the text."""
    node_id = event.node_id.encode()
    head = struct.pack("!II", _NODE_TEXT, len(node_id)) + node_id
    return _binary_frame(head, event.text.encode())


def pack_frame(message: PackMessage) -> bytes:
    """A message that a node pack has made itself."""
    return _binary_frame(b"", message.body) if message.is_binary else text_frame(message.body)


def _binary_frame(head: bytes, body: bytes) -> bytes:
    return _header(_FINAL_BINARY, len(head) + len(body)) + head + body
