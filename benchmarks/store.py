"""What the job database costs: jobs accepted in a burst and one by one, history read."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from executor.jobs import Job, JobState, Result
from executor.store import Store, now_ms

BURST = 150
SEQUENTIAL = 500
ROUNDS = 5
PROMPT = b'{"1":{"class_type":"EmptyImage","inputs":{"width":16}}}' * 10


def make_job(prompt_id: str) -> Job:
    return Job(
        prompt_id=prompt_id,
        number=0,
        prompt=PROMPT,
        extra_data=b"{}",
        outputs_to_execute=("1",),
        created_at=now_ms(),
    )


async def run_one(store: Store, prompt_id: str) -> None:
    """Accept, start and finish one job, as the dispatcher does it."""
    job = await store.add(make_job(prompt_id))
    store.start(job.sequence, "worker-1")
    await store.finish(job, Result(state=JobState.SUCCEEDED))


async def measure(folder: Path) -> None:
    """Print a line for each measurement: median and spread of the rounds."""
    store = await Store.open(f"sqlite:///{folder / 'jobs.db'}")
    bursts, each, processor, reads = [], [], [], []
    for round_number in range(ROUNDS):
        ids = [f"{round_number}-{i}" for i in range(BURST + SEQUENTIAL)]
        began = time.perf_counter()
        await asyncio.gather(*(store.add(make_job(prompt_id)) for prompt_id in ids[:BURST]))
        bursts.append(time.perf_counter() - began)
        began, cpu = time.perf_counter(), time.process_time()
        for prompt_id in ids[BURST:]:
            await run_one(store, prompt_id)
        each.append((time.perf_counter() - began) / SEQUENTIAL)
        processor.append((time.process_time() - cpu) / SEQUENTIAL)
        began = time.perf_counter()
        entries = sum([len(page) async for page in store.history(max_items=200)])
        reads.append((time.perf_counter() - began) / entries)
    await store.close()
    _report(f"{BURST} jobs accepted at once", bursts)
    _report("one job, accepted, started and finished", each)
    _report("the same, time on the processor", processor)
    _report("one history entry read", reads)


def _report(what: str, seconds: list[float]) -> None:
    middle, low, high = (f(seconds) * 1000 for f in _SUMMARY)
    print(f"{what:42} {middle:8.3f} ms   ({low:.3f} to {high:.3f})")


_SUMMARY: tuple[Callable[[list[float]], float], ...] = (statistics.median, min, max)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        asyncio.run(measure(Path(folder)))
