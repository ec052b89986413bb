"""The typed messages that cross the worker boundary, and their wire form.

Commands go to a worker, events come back. A message is one msgpack object, tagged with its type; on
a stream it is preceded by its length (4 bytes, big-endian). Nothing here knows how messages travel.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from executor.kinds import ModelKind
from executor.packs import LoadedPacks

JsonObject: TypeAlias = dict[str, Any]


class Execute(msgspec.Struct, tag_field="kind", tag="execute", frozen=True, kw_only=True):
    """Run one validated prompt."""

    prompt_id: str
    prompt: JsonObject  # node id -> node, literals already converted by validation
    outputs: list[str]  # ids of the output nodes that passed validation
    extra_data: JsonObject
    client_id: str | None = None
    secrets: dict[str, str] = {}  # hidden-input name -> value; never stored
    owner: str | None = None  # whose results are not shown to others; None: keys are not in use
    supports_preview_metadata: bool = False


class Interrupt(msgspec.Struct, tag_field="kind", tag="interrupt", frozen=True, kw_only=True):
    """Stop the running prompt if it is this one."""

    prompt_id: str


class Call(msgspec.Struct, tag_field="kind", tag="call", frozen=True, kw_only=True):
    """Ask for something that only the worker's process can answer; a `Reply` comes back."""

    call_id: int
    method: str  # "validate_inputs", "device_stats", ...
    arguments: JsonObject


class Free(msgspec.Struct, tag_field="kind", tag="free", frozen=True, kw_only=True):
    """Give memory back, after the running prompt."""

    unload_models: bool = False
    free_memory: bool = False  # also empties the result cache


class Stop(msgspec.Struct, tag_field="kind", tag="stop", frozen=True, kw_only=True):
    """End the process."""


class Answer(msgspec.Struct, tag_field="kind", tag="answer", frozen=True, kw_only=True):
    """The answer to an `Ask`: a result, or the text of what went wrong."""

    ask_id: int
    result: Any = None
    error: str | None = None


Command: TypeAlias = Execute | Interrupt | Call | Free | Stop | Answer


class Loading(msgspec.Struct, tag_field="kind", tag="loading", frozen=True, kw_only=True):
    """The code of a node pack runs from now on: should the worker end, it was that pack."""

    pack: str | None  # None: all packs are loaded


class Ready(msgspec.Struct, tag_field="kind", tag="ready", frozen=True, kw_only=True):
    """The worker has loaded its nodes and takes prompts."""

    devices: list[JsonObject]  # the device entries of GET /system_stats
    versions: dict[str, str]  # package name -> version, as far as clients are told
    definitions: list[JsonObject] | None  # executor.definitions; None: the cached ones still hold
    fingerprint: str  # of the code and node folders that the definitions were made from
    packs: LoadedPacks = LoadedPacks()
    site: str | None = None  # the Unix socket on which the packs' routes are served


class Emit(msgspec.Struct, tag_field="kind", tag="emit", frozen=True, kw_only=True):
    """A JSON message for clients, encoded once by the worker and forwarded as it is."""

    prompt_id: str
    type: str  # "executing", "progress", ...
    text: bytes  # the whole WebSocket text frame, UTF-8 JSON
    to_all_if_no_client: bool = False  # else: to nobody if the prompt has no client_id


class Preview(msgspec.Struct, tag_field="kind", tag="preview", frozen=True, kw_only=True):
    """A preview image; the server frames it for what each socket supports."""

    prompt_id: str
    metadata: JsonObject  # node_id, prompt_id, display_node_id, parent_node_id, real_node_id, ...
    image: bytes  # encoded image
    image_type: str  # "image/jpeg" or "image/png"


class NodeText(msgspec.Struct, tag_field="kind", tag="text", frozen=True, kw_only=True):
    """A line of text that clients show on a node while it works."""

    prompt_id: str
    node_id: str
    text: str


class FoldersChanged(msgspec.Struct, tag_field="kind", tag="folders", frozen=True, kw_only=True):
    """Node packs have added or changed kinds of model folders since the worker was ready."""

    kinds: dict[str, ModelKind]


class PackMessage(msgspec.Struct, tag_field="kind", tag="pack_message", frozen=True, kw_only=True):
    """What a node pack sends to clients: the content of one WebSocket message, as it is."""

    body: bytes
    is_binary: bool = False
    client_id: str | None = None  # None: to all
    owner: str | None = None  # of the request that is answered; None: of the job that runs


class Ask(msgspec.Struct, tag_field="kind", tag="ask", frozen=True, kw_only=True):
    """A node pack asks what only the server knows; an `Answer` goes back."""

    ask_id: int
    method: str  # "queue", "history", ...: executor.calls
    arguments: JsonObject


class Progress(msgspec.Struct, tag_field="kind", tag="progress", frozen=True, kw_only=True):
    """What a person at the terminal is shown while a node works; clients get `Emit`s."""

    prompt_id: str
    node_id: str
    class_type: str
    value: float
    maximum: float


class Finished(msgspec.Struct, tag_field="kind", tag="finished", frozen=True, kw_only=True):
    """The prompt is over; what history keeps of it."""

    prompt_id: str
    succeeded: bool
    interrupted: bool
    outputs: JsonObject  # node id -> ui object
    meta: JsonObject  # node id -> {"node_id", "display_node", "parent_node", "real_node_id"}
    messages: list[tuple[str, JsonObject]]  # execution_start, execution_cached, then the final one
    unfit: str | None = None  # why the worker cannot run another prompt


class Reply(msgspec.Struct, tag_field="kind", tag="reply", frozen=True, kw_only=True):
    """The answer to a `Call`: a result, or the text of what went wrong."""

    call_id: int
    result: Any = None
    error: str | None = None


class Log(msgspec.Struct, tag_field="kind", tag="log", frozen=True, kw_only=True):
    """A log record of the worker, shown by the server."""

    level: int
    logger: str
    message: str


class Heartbeat(msgspec.Struct, tag_field="kind", tag="heartbeat", frozen=True, kw_only=True):
    """Sent every few seconds from a thread of its own, also while a node works."""


Event: TypeAlias = (
    Loading
    | Ready
    | Emit
    | Preview
    | NodeText
    | FoldersChanged
    | PackMessage
    | Ask
    | Progress
    | Finished
    | Reply
    | Log
    | Heartbeat
)

LENGTH_BYTES = 4
MAX_MESSAGE_BYTES = 1 << 30

_LARGE_INTEGER = 1  # code of an extension type: its digits
_BYTES = (bytes, bytearray, memoryview)  # which MessagePack has


def _read_extension(code: int, data: memoryview) -> int:
    if code != _LARGE_INTEGER:
        raise ValueError(f"unknown extension type {code}")
    return int(bytes(data))


encode = msgspec.msgpack.Encoder(enc_hook=str).encode
decode_command = msgspec.msgpack.Decoder(Command, ext_hook=_read_extension).decode
decode_event = msgspec.msgpack.Decoder(Event, ext_hook=_read_extension).decode


def frame(message: Command | Event) -> bytes:
    """The message with its length in front, ready for a stream."""
    try:
        body = encode(message)
    except (OverflowError, UnicodeEncodeError):
        plain = msgspec.to_builtins(message, builtin_types=_BYTES, enc_hook=str)
        body = encode(_packable(plain))
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def _packable(value: Any) -> Any:
    """The same without what MessagePack lacks.

    Large integers become extensions: browsers write the largest seed as 18446744073709552000, which
    is in many saved workflows. Halves of surrogate pairs, as in names of files that are no UTF-8,
    become question marks.
    """
    if isinstance(value, dict):
        return {_packable(key): _packable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_packable(item) for item in value]
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return msgspec.msgpack.Ext(_LARGE_INTEGER, str(value).encode())
    return value
