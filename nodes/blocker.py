"""The value that stops what consumes it."""

from __future__ import annotations


class ExecutionBlocker:
    """Returned by a node in place of a value: calls that would consume it are not made.

    With a message, the first consumer reports it; without, the branch stays silent. The run goes
    on either way.
    """

    def __init__(self, message: str | None) -> None:
        self.message = message
