"""The server that the demo starts: a child process whose log is kept back until it is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence

import aiohttp

STOP_WAIT_S = 10.0
ENDING_WAIT_S = 15.0
LOG_KEPT = 64 * 1024  # bytes of the log's end


class ServerEnded(Exception):
    """The server's process ended before its work was done."""


class PortInUse(Exception):
    """Another program listens on the port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is in use by another program (another Darkroom?). "
            f"End it, or choose another port: make run PORT={port + 100}"
        )


class ServerProcess:
    """A running `darkroom serve`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._kept = bytearray()
        self._is_live = False
        self._reader = asyncio.create_task(self._read_log())

    async def watch(self, work: Coroutine[None, None, None]) -> None:
        """Await the work; raises ServerEnded if the process ends first."""
        working = asyncio.ensure_future(work)
        ended = asyncio.ensure_future(self._process.wait())
        try:
            await asyncio.wait((working, ended), return_when=asyncio.FIRST_COMPLETED)
            error = working.exception() if working.done() else None
            if isinstance(error, aiohttp.ClientError):
                # A lost connection is the first sign of the end, which is then the reason.
                await asyncio.wait((ended,), timeout=ENDING_WAIT_S)
            if ended.done() and (error or not working.done()):
                await self._reader
                raise ServerEnded(f"the server ended with status {ended.result()}")
            await working
        finally:
            working.cancel()
            ended.cancel()

    def show_log(self) -> None:
        """Print what was kept back, and from now on everything at once."""
        self._is_live = True
        sys.stdout.flush()
        sys.stdout.buffer.write(self._kept)
        sys.stdout.buffer.flush()
        self._kept.clear()

    async def ended(self) -> int:
        """The exit status, once the process has ended by itself."""
        await self._reader
        return await self._process.wait()

    async def stop(self) -> None:
        """End it, by force if it does not end in time."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_WAIT_S)
        except TimeoutError:
            self._process.kill()
        self._reader.cancel()

    async def _read_log(self) -> None:
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(LOG_KEPT):
            self._kept += chunk
            del self._kept[:-LOG_KEPT]
            if self._is_live:
                self.show_log()


@contextlib.asynccontextmanager
async def start_server(flags: Sequence[str]) -> AsyncIterator[ServerProcess]:
    """Run `darkroom serve` with these flags; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "serve", *flags),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        process_group=0,  # Ctrl-C reaches the demo alone, which then ends the server in order
    )
    server = ServerProcess(process)
    try:
        yield server
    finally:
        await server.stop()


def find_port(host: str, wanted: int) -> int:
    """The wanted port, or any free one for 0. Raises PortInUse, or OSError for a bad address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(host, wanted) from None
            raise
        return int(probe.getsockname()[1])
