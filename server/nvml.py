"""Memory of NVIDIA GPUs, asked of the driver: also while a worker is too busy to answer."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GpuMemory:
    """Of one GPU, used by whichever process."""

    total: int  # bytes
    free: int  # bytes


def _import() -> Any:
    return importlib.import_module("pynvml")


class Nvml:
    """NVML through the package nvidia-ml-py, if it is installed. Blocking: call in a thread."""

    def __init__(self, load: Callable[[], Any] = _import) -> None:
        self._load = load
        self._starting = threading.Lock()
        self._library: Any = None
        self._is_missing = False

    def is_available(self) -> bool:
        """Whether there is a driver to ask."""
        return self._started() is not None

    def memory(self, uuid: str) -> GpuMemory | None:
        """Of the GPU with that UUID (with or without `GPU-`); None if it cannot be told."""
        library = self._started()
        if library is None:
            return None
        name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
        try:
            memory = library.nvmlDeviceGetMemoryInfo(library.nvmlDeviceGetHandleByUUID(name))
        except library.NVMLError as error:
            log.debug("NVML does not tell the memory of %s: %s", name, error)
            return None
        return GpuMemory(total=int(memory.total), free=int(memory.free))

    def _started(self) -> Any:
        with self._starting:
            if self._library is None and not self._is_missing:
                self._library = self._start()
                self._is_missing = self._library is None
            return self._library

    def _start(self) -> Any:
        try:
            library = self._load()
        except ImportError:
            return None
        try:
            library.nvmlInit()
        except library.NVMLError as error:
            log.debug("NVML cannot be used: %s", error)
            return None
        return library
