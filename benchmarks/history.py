"""Times what clients ask of a long history: 10,000 entries, over HTTP, of a server of its own.

Wall time of each call on a connection that is open already, and the resident memory of the server
process before and after.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

from executor.jobs import Job, JobState, Result
from executor.store import Store, now_ms

ROOT = Path(__file__).parents[1]
ENTRIES = 10_000
CALLS = 200
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
        await asyncio.gather(*(store.finish(job, RESULT) for job in jobs))
    await store.close()


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
        for path in (
            "/history/job-{}",
            "/api/jobs/job-{}",
            "/history?max_items=1&offset={}",
            "/history?max_items=64",
            "/api/jobs?limit=50",
            "/api/jobs?limit=50&offset={}",
            "/api/jobs?limit=50&status=completed&sort_by=execution_duration",
            "/queue",
            "/prompt",
            "/history",
        ):
            await _time(session, path)
    after = server.memory_info().rss
    print(f"resident memory of the server: {before / 2**20:.0f}, then {after / 2**20:.0f} MiB")


async def _time(session: aiohttp.ClientSession, path: str) -> None:
    times, size = [], 0
    for number in range(CALLS if path != "/history" else 3):
        began = time.perf_counter()
        async with session.get(path.format(number * 7919 % ENTRIES)) as answer:
            size = len(await answer.read())
        times.append((time.perf_counter() - began) * 1000)
    middle, high = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    print(f"{path:64} {middle:7.2f} ms (95 %: {high:.2f}), {size} bytes", flush=True)


async def main(folder: Path) -> None:
    """Fill, serve, measure."""
    await fill(folder)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "main.py"), "--cpu", "--port", "0"),
        *("--base-directory", str(folder)),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async for line in process.stderr:
            found = re.search(rb"listening on (\S+)", line)
            if found:
                break
        else:
            raise RuntimeError("the server did not start")
        reading = asyncio.create_task(process.stderr.read())
        await measure(found[1].decode(), psutil.Process(process.pid))
    finally:
        process.terminate()
        await process.wait()
    await reading


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))
