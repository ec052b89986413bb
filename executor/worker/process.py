"""The threads of a worker process around its engine.

reader   takes commands from the socket; interrupts act at once, and the end of the socket ends
         the process, whatever a node is doing
main     loads the nodes, then runs prompts
calls    answers calls, also while a prompt runs
pulse    heartbeats, and messages that were held back for a moment
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from executor.messages import Call, Command, Execute, Free, Heartbeat, Interrupt, Log, Reply, Stop
from executor.worker.channel import Channel, ChannelClosed

if TYPE_CHECKING:
    from executor.worker.loading import Loaded

_TICK_S = 0.02


class WorkerProcess:
    """Connects a channel with an engine. `load` imports torch: the reader is up before that."""

    def __init__(self, channel: Channel, load: Callable[[], Loaded], *, heartbeat_s: float) -> None:
        self._channel = channel
        self._load = load
        self._heartbeat_s = heartbeat_s
        self._work: queue.SimpleQueue[Execute | Free | Stop] = queue.SimpleQueue()
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._loaded: Loaded | None = None
        self._early_interrupts: set[str] = set()  # for prompts that came before the nodes
        self._busy = threading.Event()

    def run(self) -> None:
        """Serve until told to stop or the server is gone."""
        for target in (self._read, self._pulse):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()
        loaded = self._load()
        self._loaded = loaded
        threading.Thread(target=self._answer_calls, args=(loaded,), daemon=True).start()
        self._channel.send(loaded.ready)
        self._channel.flush()
        while True:
            command = self._work.get()
            if isinstance(command, Stop):
                return
            if isinstance(command, Free):
                loaded.free(command)
                continue
            self._execute(loaded, command)

    def _execute(self, loaded: Loaded, command: Execute) -> None:
        if command.prompt_id in self._early_interrupts:
            self._early_interrupts.discard(command.prompt_id)
            loaded.engine.accept(command.prompt_id)
            loaded.engine.interrupt(command.prompt_id)
        self._busy.set()
        try:
            loaded.engine.execute(command, self._channel.send)
            self._channel.flush()
        finally:
            self._busy.clear()

    def _read(self) -> None:
        try:
            for command in self._channel.commands():
                self._dispatch(command)
        finally:
            # The server is gone (or talks nonsense): nobody will take this process's results.
            os._exit(0)

    def _dispatch(self, command: Command) -> None:
        if isinstance(command, Interrupt):
            if self._loaded is None:
                self._early_interrupts.add(command.prompt_id)
            else:
                self._loaded.engine.interrupt(command.prompt_id)
        elif isinstance(command, Call):
            self._calls.put(command)
        else:
            if isinstance(command, Execute) and self._loaded is not None:
                self._loaded.engine.accept(command.prompt_id)
            self._work.put(command)

    def _answer_calls(self, loaded: Loaded) -> None:
        while True:
            call = self._calls.get()
            try:
                reply = Reply(call_id=call.call_id, result=loaded.answer(call))
            except Exception as error:
                reply = Reply(call_id=call.call_id, error=f"{type(error).__name__}: {error}")
            self._channel.send(reply)
            self._channel.flush()

    def _pulse(self) -> None:
        beat_due = 0.0
        while True:
            self._busy.wait(self._heartbeat_s)
            try:
                if self._loaded is not None:
                    self._loaded.engine.tick()
                if time.monotonic() >= beat_due:
                    beat_due = time.monotonic() + self._heartbeat_s
                    self._channel.send(Heartbeat())
                self._channel.flush()
            except ChannelClosed:
                return  # the reader ends the process
            time.sleep(_TICK_S)


class ChannelLogHandler(logging.Handler):
    """Sends log records to the server."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; a server that is gone needs none."""
        try:
            message = self.format(record)
            self._channel.send(Log(level=record.levelno, logger=record.name, message=message))
        except ChannelClosed:
            pass
        except Exception:
            self.handleError(record)
