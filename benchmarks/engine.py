"""Times the graph engine in this process, without server and socket.

Figures are medians with the range of the runs, wall clock and CPU time of the thread: on a busy
machine only the latter says something about the engine.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from executor.folders import Folders
from executor.messages import Event, Execute, Finished, frame
from executor.worker.cache import ClassicCache
from executor.worker.engine import Engine
from nodes.context import Services
from nodes.registry import NODE_CLASSES

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
    graph[f"{prefix}{length}"] = node("PreviewImage", images=[f"{prefix}{length - 1}", 0])
    return graph


def wide() -> Graph:
    """50 independent chains of 20 nodes."""
    return {k: v for row in range(50) for k, v in chain(20, prefix=f"{row}_").items()}


def measure(engine: Engine, make: Callable[[], Graph], runs: int) -> str:
    """Run graphs; wall and CPU milliseconds of each, encoding of the events included."""
    wall, cpu = [], []
    for number in range(runs + 1):
        graph = make()
        outputs = [k for k, v in graph.items() if v["class_type"] == "PreviewImage"]
        command = Execute(prompt_id=str(number), prompt=graph, outputs=outputs, extra_data={})
        events: list[Event] = []

        def emit(event: Event, events: list[Event] = events) -> None:
            frame(event)
            events.append(event)

        began, cpu_began = time.perf_counter(), time.thread_time()
        engine.execute(command, emit)
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((time.thread_time() - cpu_began) * 1000)
        assert isinstance(events[-1], Finished)
        assert events[-1].succeeded, events[-1].messages
    return f"wall {_spread(wall[1:])} ms, CPU {_spread(cpu[1:])} ms"  # the first one warms up


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Print a line for each case."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as base:
        folders = Folders.build(Path(base))
        folders.make()
        engine = Engine(
            NODE_CLASSES,
            services=Services(folders=folders),
            cache=ClassicCache(),
            fixed_classes=frozenset(NODE_CLASSES),
            node_scope=torch.inference_mode,
        )
        same_two, same_chain = chain(2, 16), chain(200)
        print("trivial (2 nodes)      ", measure(engine, lambda: chain(2, 16), 50))
        print("trivial, cached        ", measure(engine, lambda: same_two, 50))
        print("chain of 200           ", measure(engine, lambda: chain(200), 5))
        print("chain of 200, cached   ", measure(engine, lambda: same_chain, 5))
        print("50 chains of 20        ", measure(engine, wide, 3))
        print("chain of 5000          ", measure(engine, lambda: chain(5000), 1))


if __name__ == "__main__":
    main()
