"""Memory that the worker and the process that runs shaders share for the pixels of one picture."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence

_BYTES_A_VALUE = 4  # float32


class SharedPixels:
    """Pictures of float32 values one after the other, each of so many. Linux only."""

    def __init__(self, counts: Sequence[int], descriptor: int | None = None) -> None:
        """Makes the memory, or takes what a descriptor, which it owns from now on, stands for."""
        self._lengths = [count * _BYTES_A_VALUE for count in counts]
        self.size = max(1, sum(self._lengths))  # bytes
        is_new = descriptor is None
        self.descriptor = os.memfd_create("shader") if descriptor is None else descriptor
        try:
            if is_new:
                os.ftruncate(self.descriptor, self.size)
            self._memory = mmap.mmap(self.descriptor, self.size)
        except BaseException:
            os.close(self.descriptor)
            raise

    def close(self) -> None:
        """Let go of the descriptor. The memory stays as long as something looks at it."""
        os.close(self.descriptor)

    def views(self) -> Iterator[memoryview]:
        """The bytes of each picture."""
        whole, start = memoryview(self._memory), 0
        for length in self._lengths:
            yield whole[start : start + length]
            start += length
