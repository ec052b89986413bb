"""`server.PromptServer` as node packs know it, in the worker's process.

What it sends goes to the server, which has the sockets; routes that packs register are served by
the worker, and the server hands it the requests.
"""

from __future__ import annotations

import asyncio
import io
import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

from aiohttp import web
from darkroom_compat.prompt_queue import PromptQueue
from darkroom_compat.request_users import UserManager
from PIL import Image, ImageOps
from protocol import BinaryEventTypes

__all__ = ["BinaryEventTypes", "PromptServer"]

log = logging.getLogger(__name__)

PromptHook = Callable[[dict[str, Any]], dict[str, Any]]

_JPEG = 1
_PNG = 2
_QUALITY = 95


class Link(Protocol):
    """The way to the server."""

    loop: asyncio.AbstractEventLoop  # serves the packs' routes
    address: str  # where clients reach the server
    port: int
    user_folder: Path
    is_multi_user: bool
    max_body_bytes: int

    client_id: str | None  # of the prompt that runs, or ran last
    prompt_id: str | None

    @property
    def node_id(self) -> str | None:
        """The node that runs."""

    def encode(self, value: Any) -> bytes:
        """JSON, as clients are sent it; raises TypeError for what is none."""

    def send(self, body: bytes, *, is_binary: bool, client_id: str | None) -> None:
        """Send clients one WebSocket message; `client_id` None: to all. From any thread."""

    def ask(self, method: str, **arguments: Any) -> Any:
        """Ask the server and wait for its answer. From any thread."""


class PromptServer:
    """What packs find as `PromptServer.instance`."""

    instance: ClassVar[PromptServer]

    def __init__(self, link: Link) -> None:
        self._link = link
        self.loop = link.loop
        self.routes = web.RouteTableDef()
        self.app = web.Application(client_max_size=link.max_body_bytes)
        self.prompt_queue = PromptQueue(link.ask)
        self.user_manager = UserManager(link.user_folder, is_multi_user=link.is_multi_user)
        self.on_prompt_handlers: list[PromptHook] = []
        self.supports = ["custom_nodes_from_web"]
        self.address = link.address
        self.port = link.port
        self.number = 0  # packs count up the priorities of prompts that they queue

    @property
    def client_id(self) -> str | None:
        """The client whose prompt runs."""
        return self._link.client_id

    @client_id.setter
    def client_id(self, client_id: str | None) -> None:
        self._link.client_id = client_id

    @property
    def last_prompt_id(self) -> str | None:
        """The prompt that runs."""
        return self._link.prompt_id

    @last_prompt_id.setter
    def last_prompt_id(self, prompt_id: str | None) -> None:
        self._link.prompt_id = prompt_id

    @property
    def last_node_id(self) -> str | None:
        """The node that runs, by its id in the prompt."""
        return self._link.node_id

    @property
    def sockets(self) -> dict[str, None]:
        """The ids of the clients that listen. The sockets themselves are the server's."""
        return dict.fromkeys(self._link.ask("clients"))

    # Messages to clients

    def send_sync(self, event: str | int, data: Any, sid: str | None = None) -> None:
        """Send a message to one client, or to all. From any thread."""
        if event == BinaryEventTypes.UNENCODED_PREVIEW_IMAGE:
            self._send_binary(BinaryEventTypes.PREVIEW_IMAGE, _with_format(data), sid)
        elif event == BinaryEventTypes.PREVIEW_IMAGE_WITH_METADATA and isinstance(data, tuple):
            self._send_binary(event, self._with_metadata(*data), sid)
        elif isinstance(data, bytes | bytearray | memoryview):
            self._send_binary(event, bytes(data), sid)
        else:
            body = self._link.encode({"type": event, "data": data})
            self._link.send(body, is_binary=False, client_id=sid)

    def _with_metadata(self, image_data: Any, metadata: dict[str, Any]) -> bytes:
        kind, image = _encode(*image_data)
        mime_type = "image/png" if kind == _PNG else "image/jpeg"
        described = self._link.encode({**metadata, "image_type": mime_type})
        return struct.pack(">I", len(described)) + described + image

    def _send_binary(self, event: str | int, data: bytes, sid: str | None) -> None:
        if not isinstance(event, int):
            raise TypeError(f"bytes are sent as one of BinaryEventTypes, not as {event!r}")
        body = self.encode_bytes(event, data)
        self._link.send(body, is_binary=True, client_id=sid)

    def encode_bytes(self, event: int, data: bytes | bytearray) -> bytes:
        """A binary message: the number of its type, then its content."""
        return struct.pack(">I", event) + data

    async def send(self, event: str | int, data: Any, sid: str | None = None) -> None:
        """As `send_sync`."""
        self.send_sync(event, data, sid)

    async def send_json(self, event: str, data: Any, sid: str | None = None) -> None:
        """As `send_sync`, for JSON."""
        self.send_sync(event, data, sid)

    async def send_bytes(self, event: int, data: bytes, sid: str | None = None) -> None:
        """As `send_sync`, for bytes."""
        self._send_binary(event, bytes(data), sid)

    async def send_image(self, image_data: Any, sid: str | None = None) -> None:
        """Send a preview: (format, picture, largest side or None)."""
        self.send_sync(BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, image_data, sid)

    async def send_image_with_metadata(
        self, image_data: Any, metadata: dict[str, Any] | None = None, sid: str | None = None
    ) -> None:
        """Send a preview with a description of what it is of."""
        data = (image_data, metadata or {})
        self.send_sync(BinaryEventTypes.PREVIEW_IMAGE_WITH_METADATA, data, sid)

    def send_progress_text(
        self, text: str | bytes | bytearray, node_id: str, sid: str | None = None
    ) -> None:
        """Show a line of text on a node."""
        line = text.encode() if isinstance(text, str) else bytes(text)
        node = str(node_id).encode()
        self._send_binary(BinaryEventTypes.TEXT, struct.pack(">I", len(node)) + node + line, sid)

    # The queue

    def get_queue_info(self) -> dict[str, Any]:
        """How many prompts wait or run, as `status` messages have it."""
        remaining = self.prompt_queue.get_tasks_remaining()
        return {"exec_info": {"queue_remaining": remaining}}

    def queue_updated(self) -> None:
        """The server tells clients of changes of its queue by itself."""

    # Prompts before they are checked

    def add_on_prompt_handler(self, handler: PromptHook) -> None:
        """Have a function look at the body of each POST /prompt, and change it."""
        self.on_prompt_handlers.append(handler)

    def trigger_on_prompt(self, json_data: dict[str, Any]) -> dict[str, Any]:
        """The body as the handlers leave it; one that fails changes nothing."""
        for handler in list(self.on_prompt_handlers):
            try:
                changed = handler(json_data)
            except (Exception, SystemExit):
                log.exception("a prompt handler of a node pack failed")
                continue
            if isinstance(changed, dict):
                json_data = changed
            else:
                log.warning("a prompt handler of a node pack gave no object: %r", handler)
        return json_data


def _with_format(image_data: Any) -> bytes:
    kind, image = _encode(*image_data)
    return struct.pack(">I", kind) + image


def _encode(image_format: str, image: Image.Image, largest: int | None = None) -> tuple[int, bytes]:
    """The number of the format, and the picture in it."""
    if largest is not None and max(image.size) > largest:
        image = ImageOps.contain(image, (largest, largest), Image.Resampling.BILINEAR)
    is_png = image_format.upper() == "PNG"
    stream = io.BytesIO()
    if is_png:
        image.save(stream, format="PNG", compress_level=1)
    else:
        image.convert("RGB").save(stream, format="JPEG", quality=_QUALITY)
    return (_PNG if is_png else _JPEG), stream.getvalue()
