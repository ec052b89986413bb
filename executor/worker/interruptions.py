"""Which prompts are to stop. Written by the thread that reads commands, read by the engine."""

from __future__ import annotations

import threading

from nodes.context import Interrupted


class Interruptions:
    """Prompts that were accepted and are not over; an interrupt of any other has no effect."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._interrupted: dict[str, bool] = {}  # by id of an accepted prompt

    def accept(self, prompt_id: str) -> None:
        """A prompt has arrived: from now on it can be interrupted."""
        with self._lock:
            self._interrupted.setdefault(prompt_id, False)

    def interrupt(self, prompt_id: str) -> None:
        """Stop this prompt at its next step."""
        with self._lock:
            if prompt_id in self._interrupted:
                self._interrupted[prompt_id] = True

    def check(self, prompt_id: str) -> None:
        """Raise Interrupted if this prompt is to stop."""
        if self._interrupted.get(prompt_id):
            raise Interrupted

    def forget(self, prompt_id: str) -> None:
        """A prompt is over."""
        with self._lock:
            self._interrupted.pop(prompt_id, None)
