"""The threads of a worker process around its engine.

reader   takes commands from the socket; interrupts act at once, and the end of the socket ends
         the process, whatever a node is doing
main     loads the nodes, then runs prompts
calls    answers calls, also while a prompt runs (executor.worker.answering)
pulse    heartbeats, and messages that were held back for a moment
"""

from __future__ import annotations

import gc
import logging
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from executor.messages import (
    Answer,
    Call,
    Command,
    Event,
    Execute,
    Free,
    Heartbeat,
    Interrupt,
    Log,
    Ready,
    Reply,
    Stop,
)
from executor.worker.answering import Answering
from executor.worker.channel import Channel, ChannelClosed
from executor.worker.engine import Engine
from executor.worker.interruptions import Interruptions

_TICK_S = 0.02
_LONGEST_LOG = 64 * 1024  # characters of one record


class Loaded(Protocol):
    """A worker that can work: what loading gives."""

    @property
    def engine(self) -> Engine:
        """Runs the prompts."""

    @property
    def ready(self) -> Ready:
        """What the server is told."""

    def execute(self, command: Execute, emit: Callable[[Event], None]) -> None:
        """Run a prompt; `Finished` is the last event."""

    def free(self, command: Free) -> None:
        """Give memory back. Only between prompts."""

    def answer(self, call: Call) -> Any:
        """Answer a call; may come from another thread while a prompt runs."""


class WorkerProcess:
    """Connects a channel with an engine. `load` imports torch: the reader is up before that."""

    def __init__(
        self,
        channel: Channel,
        load: Callable[[Interruptions], Loaded],
        *,
        heartbeat_s: float,
        on_answer: Callable[[Answer], None] = lambda answer: None,
        on_stop: Callable[[], None] = lambda: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_stop = on_stop  # the server asks the process to end, and waits for a moment
        self._on_end = on_end  # the server is gone
        self._on_answer = on_answer
        self._channel = channel
        self._load = load
        self._heartbeat_s = heartbeat_s
        self._interruptions = Interruptions()
        self._work: queue.SimpleQueue[Execute | Free] = queue.SimpleQueue()
        self._calls = Answering(self._answer_call)
        self._loaded: Loaded | None = None
        self._busy = threading.Event()
        self._pid = os.getpid()
        self._ending = threading.Lock()

    def run(self) -> NoReturn:
        """Serve. Returns never: the process is ended, whatever packs have left to do at its end."""
        try:
            self._serve()
        except ChannelClosed:  # the server is gone, or a node has forked: this is the child
            pass
        except BaseException:
            traceback.print_exc()
        finally:
            self._end(1)

    def _serve(self) -> NoReturn:
        for target in (self._read, self._pulse):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()
        loaded = self._loaded = self._load(self._interruptions)
        # What was loaded stays: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        self._calls.start()
        self._channel.send(loaded.ready)
        self._channel.flush()
        while True:
            command = self._work.get()
            if isinstance(command, Free):
                loaded.free(command)
            else:
                self._execute(loaded, command)

    def _execute(self, loaded: Loaded, command: Execute) -> None:
        self._busy.set()
        try:
            loaded.execute(command, self._channel.send)
            self._channel.flush()
        finally:
            self._busy.clear()

    def _read(self) -> None:
        try:
            for command in self._channel.commands():
                self._dispatch(command)
        finally:
            # The server is gone (or talks nonsense): nobody will take this process's results.
            self._end(0)

    def _end(self, status: int) -> NoReturn:
        """End the process without its server; the first thread that notices does so, alone."""
        if os.getpid() == self._pid:  # a child of a fork takes nothing from its parent
            self._ending.acquire()
            self._on_end()
        os._exit(status)

    def _dispatch(self, command: Command) -> None:
        match command:
            case Interrupt():
                self._interruptions.interrupt(command.prompt_id)
            case Call():
                self._calls.put(command)
            case Answer():
                self._on_answer(command)
            case Stop():
                self._on_stop()
                os._exit(0)  # files are written under other names first: nothing is left half done
            case Execute():
                self._interruptions.accept(command.prompt_id)
                self._work.put(command)
            case Free():
                self._work.put(command)

    def _answer_call(self, call: Call) -> None:
        assert self._loaded is not None  # calls are answered from then on
        try:
            reply = Reply(call_id=call.call_id, result=self._loaded.answer(call))
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
                self._calls.tick()
                if time.monotonic() >= beat_due:
                    beat_due = time.monotonic() + self._heartbeat_s
                    self._channel.send(Heartbeat())
                self._channel.flush()
            except ChannelClosed:  # which the reader does not notice if it was closed here
                self._end(1)
            time.sleep(_TICK_S)


class ChannelLogHandler(logging.Handler):
    """Sends log records to the server."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record; a server that is gone needs none."""
        try:
            message = self.format(record)[:_LONGEST_LOG]
            self._channel.send(Log(level=record.levelno, logger=record.name, message=message))
            self._channel.flush()
        except ChannelClosed:
            pass
        except Exception:
            self.handleError(record)
