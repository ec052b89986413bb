"""A worker as a process on this machine, spoken to over a socket pair."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
import psutil

from executor.fingerprint import definitions_fingerprint
from executor.messages import (
    LENGTH_BYTES,
    MAX_MESSAGE_BYTES,
    Answer,
    Call,
    Command,
    Event,
    Execute,
    Free,
    Interrupt,
    Loading,
    Reply,
    Stop,
    decode_event,
    frame,
)
from executor.worker_config import WorkerConfig
from executor.worker_interface import CallFailed, WorkerLost

SILENCE_S: Final = 60.0  # a worker that reports nothing for so long is given up; 0: never
MAX_WAITING: Final = 4096  # events read ahead of whoever takes them
EXIT_S: Final = 3.0  # how long a process may take to end after it closed its connection
_KILLED: Final = "was ended by SIGKILL; memory may have run out"
PROGRAM: Final = ("-m", "executor.worker")
_ROOT: Final = Path(__file__).resolve().parent.parent  # where the worker finds our packages


class LocalWorker:
    """Implements `executor.worker_interface.Worker`. One object is one process, started once."""

    def __init__(self, name: str, config: WorkerConfig, *, silence_s: float = SILENCE_S) -> None:
        self.name = name
        self._config = config
        self._silence_s = silence_s
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: _EventStream | None = None
        self._call_ids = itertools.count(1)
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._is_stopping = False
        self._killed_because: str | None = None
        self._launching = threading.Lock()  # around the process, which a thread launches
        self._run_folder: str | None = None
        self._pack_since: float | None = None  # when the pack that is being loaded had its turn

    def fingerprint(self) -> str:
        """Of the code and node folders that the definitions come from; reads folders."""
        return definitions_fingerprint(self._config)

    async def start(self, left_out: Mapping[str, str] | None = None) -> None:
        """Launch the process; `Ready` arrives among the events once it takes prompts.

        `left_out` are node packs that it is not to load, with the reason for each.
        """
        self._config = msgspec.structs.replace(self._config, left_out=dict(left_out or {}))
        ours, theirs = socket.socketpair()
        loop = asyncio.get_running_loop()
        try:
            with theirs:
                await loop.run_in_executor(None, self._launch, theirs.fileno())
        except BaseException:
            ours.close()
            raise
        _, self._stream = await loop.create_connection(_EventStream, sock=ours)

    def _launch(self, fd: int) -> None:
        """Start the process; not if the worker is stopped meanwhile."""
        # Only our user may enter it; short, because the path of a socket may not be long.
        folder = tempfile.mkdtemp(prefix="darkroom-")
        try:
            process = self._open_process(fd, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self._launching:
            self._process, self._run_folder = process, folder
            if not self._is_stopping:
                return
        self._kill()
        shutil.rmtree(folder, ignore_errors=True)

    def _open_process(self, fd: int, folder: str) -> subprocess.Popen[bytes]:
        config = msgspec.structs.replace(self._config, run_folder=folder)
        arguments = ["--fd", str(fd), "--config", config.to_json()]
        path = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.Popen(
            [sys.executable, "-P", *PROGRAM, *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            pass_fds=(fd,),
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a group of its own: ended with all that it has started
        )

    async def execute(self, command: Execute) -> None:
        """Hand over a prompt; its `Finished` arrives among the events."""
        self._send(command)

    async def interrupt(self, prompt_id: str) -> None:
        """Ask the running prompt to stop if it is this one."""
        self._send(Interrupt(prompt_id=prompt_id))

    async def call(self, method: str, arguments: dict[str, Any], wait_s: float) -> Any:
        """Ask and wait. Raises `CallFailed`, `WorkerLost` or `TimeoutError`."""
        call_id = next(self._call_ids)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls[call_id] = answer
        try:
            self._send(Call(call_id=call_id, method=method, arguments=arguments))
            async with asyncio.timeout(wait_s):
                return await answer
        finally:
            del self._calls[call_id]

    async def answer(self, answer: Answer) -> None:
        """Answer one of its `Ask` events."""
        self._send(answer)

    async def free(self, *, unload_models: bool, free_memory: bool) -> None:
        """Give memory back after the running prompt."""
        self._send(Free(unload_models=unload_models, free_memory=free_memory))

    def memory_bytes(self) -> int:
        """Resident memory of the process; 0 if that is not known."""
        try:
            return psutil.Process(self._process.pid).memory_info().rss if self._process else 0
        except psutil.Error:
            return 0

    def kill(self, reason: str) -> None:
        """End it at once; `events` then raises `WorkerLost` with this reason."""
        self._killed_because = reason
        self._kill()

    async def stop(self, wait_s: float) -> None:
        """End it, by force when it does not end in time. Idempotent."""
        with self._launching:
            self._is_stopping = True
            if self._process is None:  # whoever launches it sees that it is not wanted
                return
        with contextlib.suppress(WorkerLost):
            self._send(Stop())
        await self._wait_for_exit(wait_s)
        self._kill()
        await self._wait_for_exit(EXIT_S)
        if self._stream is not None:
            self._stream.close()
        self._fail_calls(WorkerLost(f"worker '{self.name}' was stopped"))
        if self._run_folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._run_folder, ignore_errors=True)

    async def events(self) -> AsyncIterator[Event]:
        """Everything it reports, in order; ends by raising `WorkerLost`, or after `stop`."""
        if self._stream is None:
            raise WorkerLost(f"worker '{self.name}' was not started")
        reason: str | None = None
        while reason is None:
            try:
                async with asyncio.timeout(self._silence_s or None):
                    await self._stream.wait()
            except TimeoutError:
                reason = f"reported nothing for {self._silence_s:g} s"
                self._kill()
                await self._wait_for_exit(EXIT_S)
                await self._raise_lost(reason)
            while (event := self._stream.take()) is not None:
                if isinstance(event, Loading):
                    self._pack_since = None if event.pack is None else time.monotonic()
                if isinstance(event, Reply):
                    self._settle(event)
                else:
                    yield event
            reason = self._stream.failure
        if self._is_stopping:
            return
        await self._wait_for_exit(EXIT_S)  # its exit code is the better reason
        exit_text = self._killed_because
        if exit_text is None and self._process is not None:
            exit_text = _exit_text(self._process.poll())
        limit = self._config.pack_import_timeout_s
        if limit and self._pack_since and time.monotonic() - self._pack_since >= limit:
            exit_text = f"was ended because a node pack took longer than {limit:g} s to import"
        was_killed = exit_text == _KILLED
        self._kill()
        await self._raise_lost(exit_text or reason, is_own_fault=not was_killed)

    async def _raise_lost(self, reason: str, *, is_own_fault: bool = True) -> NoReturn:
        if self._stream is not None:
            self._stream.close()
        lost = WorkerLost(f"worker '{self.name}' {reason}", is_own_fault=is_own_fault)
        self._fail_calls(lost)
        raise lost

    def _send(self, command: Command) -> None:
        """Raises WorkerLost if it is gone, and ValueError or OverflowError for what has no form."""
        data = frame(command)
        if self._stream is None or not self._stream.write(data):
            raise WorkerLost(f"worker '{self.name}' is gone")

    def _settle(self, reply: Reply) -> None:
        answer = self._calls.get(reply.call_id)
        if answer is None or answer.done():  # whoever asked has given up
            return
        if reply.error is not None:
            answer.set_exception(CallFailed(reply.error))
        else:
            answer.set_result(reply.result)

    def _fail_calls(self, lost: WorkerLost) -> None:
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(lost)

    def _kill(self) -> None:
        """End the process and all that it has started, at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _wait_for_exit(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while self._process is not None and self._process.poll() is None:
            if time.monotonic() >= deadline:
                return
            await asyncio.sleep(0.01)


class _EventStream(asyncio.Protocol):
    """Splits what the worker writes into events; many in one go."""

    def __init__(self) -> None:
        self.failure: str | None = None  # why nothing more will come
        self._transport: asyncio.Transport | None = None
        self._rest = bytearray()  # of a frame that is not complete
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._rest += data
        try:
            self._split()
        except (msgspec.MsgspecError, ValueError) as error:
            self._fail(f"sent what is no message: {error}")
        if self._events:
            self._wake()
        if len(self._events) > MAX_WAITING and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def _split(self) -> None:
        rest, at = self._rest, 0
        with memoryview(rest) as view:
            while at + LENGTH_BYTES <= len(rest):
                size = int.from_bytes(view[at : at + LENGTH_BYTES], "big")
                if size > MAX_MESSAGE_BYTES:
                    raise ValueError(f"a message of {size} bytes")
                end = at + LENGTH_BYTES + size
                if end > len(rest):
                    break
                self._events.append(decode_event(view[at + LENGTH_BYTES : end]))
                at = end
        del rest[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("closed its connection" if exc is None else f"is gone: {exc}")

    def _fail(self, reason: str) -> None:
        self.failure = self.failure or reason
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until there are events, or no more will come."""
        while not self._events and self.failure is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def take(self) -> Event | None:
        """The next event that has arrived, if any."""
        if self._events:
            return self._events.popleft()
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return None

    def write(self, data: bytes) -> bool:
        """Send without waiting; whether there is still someone to read it."""
        if self.failure is not None or self._transport is None:
            return False
        self._transport.write(data)
        return True

    def close(self) -> None:
        self._fail("was closed")
        if self._transport is not None:
            self._transport.close()


def _exit_text(returncode: int | None) -> str | None:
    if returncode is None:
        return None
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    if name == "SIGKILL":
        return _KILLED
    return f"was ended by {name}"
