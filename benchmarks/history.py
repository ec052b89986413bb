"""Times what clients ask of a long history: 10,000 entries, over HTTP, of a server of its own.

Wall time of each call on a connection that is open already, the server's processor time for it, and
its resident memory before and after. With `--big` each of the last 100 entries has shown 1 MB of
text. Calls differ from each other, so that no answer is one that the server has kept.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil
from serving import serving

from executor.jobs import Job, JobState, Result
from executor.store import Store, now_ms

ENTRIES = 10_000
CALLS = 200
IS_BIG = "--big" in sys.argv
_JOBS = "/api/jobs?limit=50&offset={}"
CALLED = (
    "/history/job-{}",
    "/api/jobs/job-{}",
    "/history?max_items=1&offset={}",
    "/history?max_items=64&offset={}",
    "/api/jobs?limit=50&workflow_id=w{}",
    _JOBS,
    _JOBS + "&status=completed",
    _JOBS + "&status=failed,cancelled",
    _JOBS + "&sort_by=execution_duration",
    _JOBS + "&status=completed&sort_by=execution_duration&sort_order=asc",
    "/queue",
    "/prompt",
    "/history",
)
_NODE = {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20, "model": ["4", 0]}}
PROMPT = json.dumps({str(number): _NODE for number in range(1, 31)}).encode()
_IMAGE = {"filename": "ComfyUI_00001_.png", "subfolder": "", "type": "output"}
RESULT = Result(
    state=JobState.SUCCEEDED,
    outputs=json.dumps({"30": {"images": [_IMAGE]}}).encode(),
    messages=json.dumps([["execution_start", {"prompt_id": "x"}]]).encode(),
)


async def fill(folder: Path) -> None:
    """A job database with finished jobs."""
    store = await Store.open(f"sqlite:///{folder / 'user' / 'darkroom.db'}")
    for first in range(0, ENTRIES, 500):
        jobs = [_job(number) for number in range(first, first + 500)]
        jobs = await asyncio.gather(*map(store.add, jobs))
        for job in jobs:
            store.start(job.sequence, "worker-1")
        await asyncio.gather(*(store.finish(job, _result(job)) for job in jobs))
    await store.close()


def _result(job: Job) -> Result:
    if not IS_BIG or job.sequence <= ENTRIES - 100:
        return RESULT
    return dataclasses.replace(RESULT, outputs=json.dumps({"30": {"text": ["x" * 10**6]}}).encode())


def _job(number: int) -> Job:
    return Job(
        prompt_id=f"job-{number}",
        number=number,
        prompt=PROMPT,
        extra_data=b"{}",
        outputs_to_execute=("30",),
        created_at=now_ms(),
    )


async def measure(address: str, server: psutil.Process) -> None:
    """Print a line for each call."""
    before = server.memory_info().rss
    async with aiohttp.ClientSession(address) as session:
        for path in CALLED:
            await _time(session, path, server)
    after = server.memory_info().rss
    print(f"resident memory of the server: {before / 2**20:.0f}, then {after / 2**20:.0f} MiB")


async def _time(session: aiohttp.ClientSession, path: str, server: psutil.Process) -> None:
    times, size, spent = [], 0, sum(server.cpu_times()[:2])
    for number in range(CALLS if path != "/history" else 3):
        began = time.perf_counter()
        async with session.get(path.format(number * 7919 % ENTRIES)) as answer:
            size = len(await answer.read())
        times.append((time.perf_counter() - began) * 1000)
    middle, high = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    spent = (sum(server.cpu_times()[:2]) - spent) / len(times) * 1000
    wall = f"{middle:7.2f} ms (95 %: {high:6.2f})"
    print(f"{path:76} {wall}, {spent:6.2f} ms processor, {size} bytes", flush=True)


async def main(folder: Path) -> None:
    """Fill, serve, measure."""
    await fill(folder)
    async with serving(folder) as (address, process_id):
        await measure(address, psutil.Process(process_id))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))
