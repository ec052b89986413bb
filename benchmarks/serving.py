"""A server of its own for a benchmark."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@asynccontextmanager
async def serving(folder: Path, *flags: str) -> AsyncIterator[tuple[str, int]]:
    """The address and the process id of a server on this base folder. Raises RuntimeError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "main.py"), "--cpu", "--port", "0"),
        *("--base-directory", str(folder), *flags),
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
        yield found[1].decode(), process.pid
    finally:
        process.terminate()
        await process.wait()
    await reading
