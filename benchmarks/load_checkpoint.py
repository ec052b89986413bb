"""Measures time and memory of loading one checkpoint: python benchmarks/load_checkpoint.py FILE

Linux only. Private memory is what the process alone holds; mapped memory is pages of the file,
which the system can drop at any time.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path

from models.load import load_checkpoint
from models.memory import choose_policy

MIB = 1024  # /proc counts in KiB


def memory() -> dict[str, int]:
    """Resident memory of this process in MiB: private (RssAnon) and mapped (RssFile)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    table = dict(line.split(":", 1) for line in lines)
    return {name: int(table[name].split()[0]) // MIB for name in ("RssAnon", "RssFile")}


class Peak(threading.Thread):
    """Samples the memory until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.most = memory()

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.most = {name: max(self.most[name], now) for name, now in memory().items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--precision", choices=["fp16", "bf16", "fp32"], default=None)
    arguments = parser.parse_args()
    before = memory()
    peak = Peak()
    peak.start()
    wall, cpu = time.perf_counter(), time.process_time()
    loaded = load_checkpoint(arguments.file, choose_policy(cpu=True, force=arguments.precision))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak.done.set()
    peak.join()
    encoders = loaded.text.encoders.values() if loaded.text is not None else ()
    parts = (loaded.model, *encoders, loaded.vae)
    weights = sum(part.network.size() for part in parts if part is not None) / 2**20
    print(f"file {arguments.file.stat().st_size / 2**20:.0f} MiB, weights {weights:.0f} MiB")
    print(f"load {wall:.1f} s wall, {cpu:.1f} s CPU")
    for name, meaning in (("RssAnon", "private"), ("RssFile", "mapped")):
        print(
            f"{meaning}: {before[name]} MiB before, {peak.most[name]} MiB at the peak, "
            f"{memory()[name]} MiB after"
        )


if __name__ == "__main__":
    main()
