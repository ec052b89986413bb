"""Carries what the dispatcher reports to clients (hub), to the log and to the terminal."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from executor.jobs import Address, Job, JobState
from executor.messages import Emit, Log, NodeText, PackMessage, Preview, Progress
from server.hub import Hub

log = logging.getLogger(__name__)

_WORTH_A_LINE_S = 1.0  # nodes that take less are not mentioned at level INFO


class ProgressView(Protocol):
    """Shows the progress of nodes while they work."""

    def show(self, progress: Progress) -> None: ...

    def forget(self, prompt_id: str) -> None: ...


class ProgressLog:
    """For a log that nobody watches: one line when a node is done, with the time it took."""

    def __init__(self) -> None:
        self._began: dict[tuple[str, str], float] = {}

    def show(self, progress: Progress) -> None:
        key = (progress.prompt_id, progress.node_id)
        began = self._began.setdefault(key, time.monotonic())
        if progress.value < progress.maximum:
            return
        del self._began[key]
        taken = time.monotonic() - began
        level = logging.INFO if taken >= _WORTH_A_LINE_S else logging.DEBUG
        log.log(
            level,
            "%s (node %s): %d steps in %.1f s",
            progress.class_type,
            progress.node_id,
            progress.maximum,
            taken,
        )

    def forget(self, prompt_id: str) -> None:
        for key in [key for key in self._began if key[0] == prompt_id]:
            del self._began[key]


class HubListener:
    """Implements `executor.listener.Listener`."""

    def __init__(self, hub: Hub, progress: ProgressView) -> None:
        self._hub = hub
        self._progress = progress

    def on_status(self, queue_remaining: int) -> None:
        self._hub.queue_changed(queue_remaining)

    def on_emit(self, to: Address, event: Emit) -> None:
        self._hub.emit(event, to)

    def on_preview(self, to: Address, event: Preview) -> None:
        self._hub.preview(event, to)

    def on_text(self, to: Address, event: NodeText) -> None:
        self._hub.text(event, to)

    def on_pack_message(self, to: Address, event: PackMessage) -> None:
        self._hub.deliver(event, to)

    def on_progress(self, event: Progress) -> None:
        self._progress.show(event)

    def on_log(self, worker: str, event: Log) -> None:
        logging.getLogger(event.logger).log(event.level, "%s", event.message)

    def on_finished(self, job: Job) -> None:
        self._hub.job_ended(job.prompt_id, job.address)
        self._progress.forget(job.prompt_id)
        taken = ((job.ended_at or 0) - (job.started_at or 0)) / 1000
        if job.state is JobState.SUCCEEDED:
            log.info("prompt %s done in %.2f s", job.prompt_id, taken)
        else:
            reason = f": {job.error}" if job.error else ""
            log.warning("prompt %s %s%s", job.prompt_id, job.state.value, reason)

    def supports_preview_metadata(self, client: Address) -> bool:
        return self._hub.wants_metadata(client)
