"""What the dispatcher tells the outside: implemented by the server's WebSocket hub."""

from __future__ import annotations

from typing import Protocol

from executor.jobs import Address, Job
from executor.messages import Emit, Log, NodeText, PackMessage, Preview, Progress


class Listener(Protocol):
    """Called on the event loop, in the order in which clients must see things; never blocks.

    `to` is the client of the event's job, and whose job it is.
    """

    def on_status(self, queue_remaining: int) -> None:
        """A job was queued, started or finished, or jobs were taken out: tell every socket."""

    def on_emit(self, to: Address, event: Emit) -> None:
        """A text frame made by the worker, to be forwarded as it is."""

    def on_preview(self, to: Address, event: Preview) -> None:
        """A preview image, to be framed for what each socket supports."""

    def on_text(self, to: Address, event: NodeText) -> None:
        """A line of text to show on a node."""

    def on_pack_message(self, to: Address, event: PackMessage) -> None:
        """A message that a node pack sends to one client or to all."""

    def on_progress(self, event: Progress) -> None:
        """Progress of a node, for the terminal."""

    def on_log(self, worker: str, event: Log) -> None:
        """A log record of a worker."""

    def on_finished(self, job: Job) -> None:
        """The run is over and readable in the history: send `executing` with `node: null`.

        The `status` message that belongs before it was announced by `on_status`.
        """

    def supports_preview_metadata(self, client: Address) -> bool:
        """Whether the client's socket announced that flag; asked when its job starts."""
