"""Who listens: open WebSockets by client id, and what is sent to which of them.

Writing never waits. What a client has not taken yet stays in its transport's buffer; a client that
lets the buffer grow beyond the limit is dropped, so that it slows nobody down.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from executor.jobs import Address
from executor.messages import Emit, NodeText, PackMessage, Preview
from server import frames

if TYPE_CHECKING:  # comes with the engine, which is imported later
    from executor.active import Snapshot

log = logging.getLogger(__name__)

# Libraries in JavaScript begin to listen for a job's messages when they have read the answer to
# POST /prompt, and miss those of a job that takes less time than that. For them the job's messages
# give the answer this lead (others, who open their socket first, need not wait) ...
_LEAD_S: Final = 0.01
_LATE_LISTENERS: Final = re.compile(r"(node|undici|axios|Mozilla|Bun|Deno)\b")
# ... and for those who are later still, `status` comes once more: it makes them read the history.
_REMINDER_S: Final = 1.0


class Connection:
    """One open socket. Frames of one turn of the event loop leave in one write."""

    def __init__(
        self, address: Address, transport: asyncio.Transport, limit: int, *, sees_all: bool
    ) -> None:
        self.address = address
        self.sees_all = sees_all  # hears of jobs of all owners that have no client
        self.features: dict[str, Any] = {}
        self.remaining = 0  # jobs that it was told of last
        self._transport = transport
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._heard = False  # a first JSON message came: flags are not listened to any more
        self._not_before = 0.0  # time of the loop at which the next frame may leave
        self._reminder: asyncio.TimerHandle | None = None

    @property
    def wants_metadata(self) -> bool:
        """Whether previews are to come with a description (binary event 4)."""
        return self.features.get("supports_preview_metadata") is True

    def send(self, frame: bytes) -> None:
        """Queue one frame."""
        if not self._waiting:
            if self._not_before > self._loop.time():
                self._loop.call_at(self._not_before, self._flush)
            else:
                self._loop.call_soon(self._flush)
        self._waiting.append(frame)

    def hold(self, seconds: float) -> None:
        """Let no new frame leave for that long."""
        self._not_before = self._loop.time() + seconds
        self.forget_reminder()

    def remind(self, seconds: float, send: Callable[[Connection], None]) -> None:
        """Call `send` after that long, unless something new begins before."""
        self.forget_reminder()
        self._reminder = self._loop.call_later(seconds, send, self)

    def forget_reminder(self) -> None:
        """Do not send it after all."""
        if self._reminder is not None:
            self._reminder.cancel()
            self._reminder = None

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting or self._transport.is_closing():
            return
        self._transport.write(b"".join(waiting))
        if self._transport.get_write_buffer_size() > self._limit:
            log.warning("client %s does not keep up; its socket is dropped", self.address.client_id)
            self._transport.abort()

    def close(self) -> None:
        """Say goodbye; what was sent before still arrives."""
        self.send(frames.close_frame())
        self._flush()
        self._transport.close()

    def hear(self, text: str, server_features: dict[str, Any]) -> None:
        """Take a message from the client: only its first one can mean something."""
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            log.debug("client %s sent text that is not JSON", self.address.client_id)
            return
        if self._heard:
            return
        self._heard = True
        if not isinstance(message, dict) or message.get("type") != "feature_flags":
            return
        flags = message.get("data")
        self.features = flags if isinstance(flags, dict) else {}
        self.send(frames.message_frame("feature_flags", server_features))


class Hub:
    """All connections. The latest socket of a client id is the one that is sent to.

    Owners of jobs (API keys) have client ids of their own: nobody gets what another is sent.
    """

    def __init__(
        self, features: dict[str, Any], *, buffer_limit: int, socket_limit: int = 1024
    ) -> None:
        self.features = features
        self._sockets = 0
        self._socket_limit = socket_limit
        self._buffer_limit = buffer_limit
        self._targets: dict[Address, Connection] = {}
        self._remaining = 0
        self._after_progress: dict[str, Preview] = {}  # by prompt id: what old clients get next
        self.running_for: Callable[[Address], Snapshot | None] = lambda _client: None
        self.remaining_of: Callable[[str | None], int] = lambda _owner: self._remaining

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def is_full(self) -> bool:
        """Whether as many sockets are open as may be."""
        return self._sockets >= self._socket_limit

    def join(
        self, client: Address, transport: asyncio.Transport, *, sees_all: bool = True
    ) -> Connection:
        """Take a new socket in and greet it. An empty id gets a fresh one."""
        address = client if client.client_id else Address(uuid.uuid4().hex, client.owner)
        connection = Connection(address, transport, self._buffer_limit, sees_all=sees_all)
        self._targets[address] = connection
        self._sockets += 1
        connection.send(self._status_frame(connection, greets=True))
        snapshot = self.running_for(address)
        if snapshot is not None:
            connection.send(frames.message_frame("executing", {"node": snapshot.node_id}))
            if snapshot.progress_state is not None:
                connection.send(frames.text_frame(snapshot.progress_state.text))
        return connection

    def find(self, client: Address) -> Connection | None:
        """The open socket that messages for this client go to."""
        return self._targets.get(client)

    def leave(self, connection: Connection) -> None:
        """Forget a closed socket, unless a newer one of the same client took its place."""
        connection.forget_reminder()
        self._sockets -= 1
        if self._targets.get(connection.address) is connection:
            del self._targets[connection.address]

    def wants_metadata(self, client: Address) -> bool:
        """Whether the client of a job announced `supports_preview_metadata`."""
        connection = self._targets.get(client)
        return connection is not None and connection.wants_metadata

    def submitted(self, client: Address, user_agent: str) -> None:
        """The client, a program of that name, is about to read the answer to POST /prompt."""
        target = self._targets.get(client)
        if target is not None:
            target.hold(_LEAD_S if _LATE_LISTENERS.match(user_agent) else 0)

    def queue_changed(self, remaining: int) -> None:
        """Tell all clients how many of the jobs that they may see wait or run.

        Those that see their own only are not told when others begin and end.
        """
        self._remaining = remaining
        frames_of: dict[int, bytes] = {}
        for connection in self._targets.values():
            count = self._remaining_for(connection)
            if count == connection.remaining and not connection.sees_all:
                continue
            connection.remaining = count
            if count not in frames_of:
                frames_of[count] = self._status_frame(connection)
            connection.send(frames_of[count])

    def emit(self, message: Emit, to: Address) -> None:
        """Pass a worker's message on to the client of its job."""
        targets = self._audience(to, message.to_all_if_no_client)
        if targets:
            self._send(frames.text_frame(message.text), targets)
        if message.type == "progress":
            self._send_plain_preview(message, targets)

    def preview(self, preview: Preview, to: Address) -> None:
        """Send a preview image, which comes before the `progress` message that belongs to it.

        A client that did not announce `supports_preview_metadata` gets it after that message, which
        tells it what the picture is of.
        """
        self._after_progress[preview.prompt_id] = preview
        described = [c for c in self._audience(to, True) if c.wants_metadata]
        if described:
            self._send(frames.described_preview_frame(preview), described)

    def _send_plain_preview(self, progress: Emit, targets: Collection[Connection]) -> None:
        preview = self._after_progress.pop(progress.prompt_id, None)
        plain = [connection for connection in targets if not connection.wants_metadata]
        if preview is not None and plain:
            self._send(frames.plain_preview_frame(preview), plain)

    def text(self, event: NodeText, to: Address) -> None:
        """Send a line of text about a node."""
        targets = self._audience(to, True)
        if targets:
            self._send(frames.node_text_frame(event), targets)

    def deliver(self, message: PackMessage, to: Address) -> None:
        """Send what a node pack has to say to one client, or to all."""
        targets = self._audience(to, True)
        if targets:
            self._send(frames.pack_frame(message), targets)

    @property
    def client_ids(self) -> list[str]:
        """Who listens."""
        return [address.client_id or "" for address in self._targets]

    def job_ended(self, prompt_id: str, to: Address) -> None:
        """The last message of a job: clients stop waiting and read the history."""
        self._after_progress.pop(prompt_id, None)
        target = self._targets.get(to)
        if target is not None:
            data = {"node": None, "prompt_id": prompt_id}
            target.send(frames.message_frame("executing", data))
            target.remind(
                _REMINDER_S, lambda connection: connection.send(self._status_frame(connection))
            )

    def ping(self) -> None:
        """Make traffic on all sockets, so that proxies keep them and dead ones are noticed."""
        self._broadcast(frames.ping_frame())

    def close(self) -> None:
        """Close all sockets: the server ends."""
        for connection in list(self._targets.values()):
            connection.close()

    def _audience(self, to: Address, all_if_none: bool) -> Collection[Connection]:
        if to.client_id is None:
            found = self._targets.values() if all_if_none else ()
            return [one for one in found if one.sees_all or one.address.owner == to.owner]
        target = self._targets.get(to)
        return () if target is None else (target,)

    def _broadcast(self, frame: bytes) -> None:
        self._send(frame, self._targets.values())

    @staticmethod
    def _send(frame: bytes, targets: Iterable[Connection]) -> None:
        for connection in targets:
            connection.send(frame)

    def _remaining_for(self, connection: Connection) -> int:
        owner = connection.address.owner
        return self._remaining if connection.sees_all else self.remaining_of(owner)

    def _status_frame(self, connection: Connection, *, greets: bool = False) -> bytes:
        connection.remaining = self._remaining_for(connection)
        exec_info = {"queue_remaining": connection.remaining}
        data: dict[str, Any] = {"status": {"exec_info": exec_info}}
        if greets:
            data["sid"] = connection.address.client_id
        return frames.message_frame("status", data)
