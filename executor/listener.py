"""What the dispatcher tells the outside: implemented by the server's WebSocket hub."""

from __future__ import annotations

from typing import Protocol

from executor.jobs import Job
from executor.messages import Emit, Log, NodeText, PackMessage, Preview, Progress


class Listener(Protocol):
    """Called on the event loop, in the order in which clients must see things; never blocks.

    The `client_id` is that of the event's job, None if the job has none.
    """

    def on_status(self, queue_remaining: int) -> None:
        """A job was queued, started or finished, or jobs were taken out: tell every socket."""

    def on_emit(self, client_id: str | None, event: Emit) -> None:
        """A text frame made by the worker, to be forwarded as it is."""

    def on_preview(self, client_id: str | None, event: Preview) -> None:
        """A preview image, to be framed for what each socket supports."""

    def on_text(self, client_id: str | None, event: NodeText) -> None:
        """A line of text to show on a node."""

    def on_pack_message(self, event: PackMessage) -> None:
        """A message that a node pack sends to one client or to all."""

    def on_progress(self, event: Progress) -> None:
        """Progress of a node, for the terminal."""

    def on_log(self, worker: str, event: Log) -> None:
        """A log record of a worker."""

    def on_finished(self, job: Job) -> None:
        """The run is over and readable in the history: send `executing` with `node: null`.

        The `status` message that belongs before it was announced by `on_status`.
        """

    def supports_preview_metadata(self, client_id: str | None) -> bool:
        """Whether the client's socket announced that flag; asked when its job starts."""
