"""What other requests see while prompts of 13 MB are taken in: latencies of GET /prompt.

A prompt is large by its graph, of which most nodes are not asked for, or by the workflow that a
front end sends along.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
from serving import serving

PROMPTS = 5
EVERY_S = 0.002
_NODE = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1}}
_SMALL = {
    "1": {"class_type": "EmptyImage", "inputs": _NODE["inputs"] | {"color": 0}},  # type: ignore[operator]
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
_MANY = [_NODE | {"note": "x" * 40}] * 90_000
BODIES: dict[str, Any] = {
    "nothing": None,
    "large graph": {"prompt": _SMALL | {str(n + 3): node for n, node in enumerate(_MANY)}},
    "large workflow": {
        "prompt": _SMALL,
        "extra_data": {"extra_pnginfo": {"workflow": {"nodes": _MANY}}},
    },
}


async def measure(address: str) -> None:
    """Print a line for each kind of body."""
    async with aiohttp.ClientSession(address) as session, aiohttp.ClientSession(address) as other:
        async with session.get("/object_info") as answer:  # the worker is up
            await answer.read()
        for name, body in BODIES.items():
            text = json.dumps(body).encode()
            posting = asyncio.create_task(_post(session, text if body else b""))
            times = []
            while not posting.done():
                began = time.perf_counter()
                async with other.get("/prompt") as answer:
                    await answer.read()
                times.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(EVERY_S)
            times.sort()
            print(
                f"{name:16} {len(text) / 2**20:5.1f} MiB, {posting.result():5.2f} s each; others:"
                f" median {statistics.median(times):.1f}, 95 % {times[int(len(times) * 0.95)]:.1f},"
                f" 99 % {times[int(len(times) * 0.99)]:.1f}, most {times[-1]:.1f} ms",
                flush=True,
            )


async def _post(session: aiohttp.ClientSession, body: bytes) -> float:
    """Post a body some times; seconds for one."""
    if not body:
        await asyncio.sleep(2)
        return 0.0
    began = time.perf_counter()
    for _ in range(PROMPTS):
        async with session.post("/prompt", data=body) as answer:
            assert answer.status in (200, 400), await answer.text()
            await answer.read()
    return (time.perf_counter() - began) / PROMPTS


async def main(folder: Path) -> None:
    """Serve, measure."""
    async with serving(folder) as (address, _):
        await measure(address)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(Path(name)))
