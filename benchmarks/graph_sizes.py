"""Times graphs of all sizes through a whole server: over HTTP, with a listener on the WebSocket.

Starts a server of its own on the CPU. Each case: wall time from POST to `execution_success`, what
clients were sent, processor time of server and worker together (on a machine that is not calm, only
that says something), and the largest resident memory of each since the start.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

ROOT = Path(__file__).parents[1]
Graph = dict[str, dict[str, Any]]

_colours = itertools.count(1)


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node of a graph."""
    return {"class_type": class_type, "inputs": inputs}


def chain(length: int, side: int = 64, prefix: str = "") -> Graph:
    """EmptyImage of a new colour, ImageInvert ..., PreviewImage."""
    empty = node("EmptyImage", width=side, height=side, batch_size=1, color=next(_colours))
    graph = {f"{prefix}1": empty}
    for number in range(2, length):
        graph[f"{prefix}{number}"] = node("ImageInvert", image=[f"{prefix}{number - 1}", 0])
    return graph | {f"{prefix}{length}": node("PreviewImage", images=[f"{prefix}{length - 1}", 0])}


def wide() -> Graph:
    """50 independent chains of 20 nodes."""
    return {k: v for row in range(50) for k, v in chain(20, prefix=f"{row}_").items()}


def cycle(length: int) -> Graph:
    """A chain whose first node needs its last but one."""
    graph = chain(length)
    graph["1"] = node("ImageInvert", image=[str(length - 1), 0])
    return graph


@dataclass
class Server:
    """A running server and a client of it."""

    process: psutil.Process
    session: aiohttp.ClientSession
    address: str
    peaks: dict[str, float] = field(default_factory=lambda: {"server": 0.0, "worker": 0.0})

    def look_at_memory(self) -> None:
        """Note the resident memory, in MiB."""
        for name, processes in (("server", [self.process]), ("worker", self.process.children())):
            resident = sum(process.memory_info().rss for process in processes) / 2**20
            self.peaks[name] = max(self.peaks[name], resident)

    def cpu_seconds(self) -> float:
        """What server and worker have used so far."""
        times = [x.cpu_times() for x in (self.process, *self.process.children())]
        return sum(used.user + used.system for used in times)

    async def run(self, graph: Graph) -> tuple[float, Counter[str]]:
        """Seconds until its end, and the messages that came; raises if it does not succeed."""
        messages: Counter[str] = Counter()
        url = f"{self.address}/ws?clientId=bench"
        async with self.session.ws_connect(url, max_msg_size=0) as socket:
            began = time.perf_counter()
            body = json.dumps({"prompt": graph, "client_id": "bench"})
            async with self.session.post(f"{self.address}/prompt", data=body) as answer:
                if answer.status != 200:
                    refused = time.perf_counter() - began
                    return refused, Counter({f"refused, {len(await answer.read())} bytes": 1})
            async for message in socket:
                kind = json.loads(message.data)["type"]
                messages[kind] += 1
                if messages.total() % 500 == 0:
                    self.look_at_memory()
                if kind == "execution_error":
                    raise RuntimeError(message.data)
                if kind == "execution_success":
                    break
        self.look_at_memory()
        return time.perf_counter() - began, messages


async def report(server: Server, name: str, make: Callable[[], Graph], runs: int) -> None:
    """Run a case several times, and print a line."""
    before = server.cpu_seconds()
    results = [await server.run(make()) for _ in range(runs)]
    cpu = (server.cpu_seconds() - before) * 1000 / runs
    times = [seconds * 1000 for seconds, _ in results]
    counts = results[-1][1]
    told = ", ".join(f"{counts[kind]} {kind}" for kind in counts if kind.startswith("refused"))
    told = told or f"{counts['executing']} executing, {counts['progress_state']} progress_state"
    spread = f"{statistics.median(times):.0f} ms ({min(times):.0f} to {max(times):.0f})"
    peaks = ", ".join(f"{key} {peak:.0f} MiB" for key, peak in server.peaks.items())
    print(f"{name:26} {spread:30} CPU {cpu:.0f} ms; {told}; {peaks}", flush=True)


async def measure(server: Server) -> None:
    """All cases, the small ones first."""
    await server.run(chain(2))  # waits for the worker
    await report(server, "2 nodes", lambda: chain(2), 20)
    await report(server, "chain of 200", lambda: chain(200), 10)
    same = chain(200)
    await server.run(same)
    await report(server, "chain of 200, cached", lambda: same, 20)
    await report(server, "50 chains of 20", wide, 5)
    await report(server, "chain of 10,000", lambda: chain(10_000, 8), 2)
    await report(server, "cycle of 10,000", lambda: cycle(10_000), 2)
    await report(server, "cycle of 100,000", lambda: cycle(100_000), 1)
    large = chain(100_000, 8)
    await report(server, "chain of 100,000", lambda: large, 1)
    await report(server, "chain of 100,000, cached", lambda: large, 1)


async def main() -> None:
    """Start a server, measure, end it."""
    with tempfile.TemporaryDirectory() as base:
        command = [sys.executable, str(ROOT / "main.py"), "--cpu", "--base-directory", base]
        started = await asyncio.create_subprocess_exec(
            *command, "--port", "0", stdout=-1, stderr=asyncio.subprocess.STDOUT
        )
        assert started.stdout is not None
        try:
            while line := (await started.stdout.readline()).decode():
                if found := re.search(r"listening on (http://\S+)", line):
                    break
            else:
                raise RuntimeError("the server did not start")
            reading = asyncio.create_task(started.stdout.read())
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(600)) as session:
                await measure(Server(psutil.Process(started.pid), session, found[1]))
            started.terminate()
            await reading
        finally:
            if started.returncode is None:
                started.terminate()
                await started.wait()


if __name__ == "__main__":
    asyncio.run(main())
