"""Draws SD 1.5's benchmark picture in this process: python benchmarks/sd15.py CHECKPOINT

256 x 256, cfg 7, Euler, 8 steps, as in benchmarks/sd15_256_cfg7.json, which a server takes as well.
Prints wall and processor seconds of loading, prompts, steps and decoding, for a first and a second
prompt, and the largest resident memory. Linux only. Set OMP_NUM_THREADS for the number of threads.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from models.load import Checkpoint, load_checkpoint
from models.memory import choose_policy
from models.sampling.sample import sample_latent


def resident() -> int:
    """Resident memory of this process in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    table = dict(line.split(":", 1) for line in lines)
    return int(table["VmRSS"].split()[0]) // 1024


class Peak(threading.Thread):
    """The largest resident memory since the last question."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.01):
            self.most = max(self.most, resident())

    def take(self) -> int:
        """The peak since the last call."""
        most, self.most = max(self.most, resident()), 0
        return most


class Timer:
    """Prints what parts of the work take."""

    def __init__(self) -> None:
        self.peak = Peak()
        self.peak.start()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time one part."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{name:12} {wall:6.1f} s wall {cpu:6.1f} s CPU   peak {self.peak.take()} MiB")


class Ticks:
    """A sampler's callback that notes when steps end."""

    def __init__(self) -> None:
        self._times = [(time.perf_counter(), time.process_time())]

    def __call__(self, *_: Any) -> None:
        self._times.append((time.perf_counter(), time.process_time()))

    def __str__(self) -> str:
        said = []
        for index, kind in enumerate(("wall", "CPU")):
            spans = [after[index] - before[index] for before, after in pairwise(self._times)]
            said.append(f"{min(spans):.2f} to {max(spans):.2f} s {kind}")
        return f"a step: {', '.join(said)}"


def draw(loaded: Checkpoint, timer: Timer, seed: int, steps: int) -> None:
    """One prompt."""
    assert loaded.text is not None and loaded.vae is not None
    with timer.part("two prompts"):
        positive = loaded.text.encode_text("a photo of a fox in the snow")
        negative = loaded.text.encode_text("blurry, low quality")
    ticks = Ticks()
    with timer.part("all steps"):
        latent = sample_latent(
            loaded.model,
            {"samples": torch.zeros(1, 4, 32, 32)},
            seed=seed,
            steps=steps,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            positive=positive,
            negative=negative,
            callback=ticks,
        )
    print(ticks)
    with timer.part("decode"):
        loaded.vae.decode(latent["samples"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    start, timer = time.perf_counter(), Timer()
    with timer.part("load"):
        loaded = load_checkpoint(arguments.checkpoint, choose_policy(cpu=True))
    for number, word in enumerate(("first", "second"), start=1):
        draw(loaded, timer, number, arguments.steps)
        print(f"{word} prompt over after {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
