"""What nodes leave behind in the process that they share: it is put right after each prompt."""

from __future__ import annotations

import builtins
import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import torch

_FREE_FILES: Final = 64  # that the next prompt may open
_MANY_THREADS: Final = 64
_LIMITS: Final = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CORE,
    resource.RLIMIT_CPU,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_STACK,
)
# What everything needs. Packs that put functions of theirs in these places do so when imported.
_SHARED: Final = (
    *(builtins, json, os, socket, threading, time),
    *(json.JSONEncoder, json.JSONDecoder, socket.socket),
)
_OPEN_FILES: Final = Path("/proc/self/fd")


class Upkeep:
    """Remembers how the process is when it has loaded its nodes. Made on the main thread."""

    def __init__(self) -> None:
        self._folder = _current_folder()
        self._recursion_limit = sys.getrecursionlimit()
        self._trace, self._profile = sys.gettrace(), sys.getprofile()
        self._limits = {limit: resource.getrlimit(limit) for limit in _LIMITS}
        self._handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        self._umask = os.umask(0o22)
        os.umask(self._umask)
        self._shared = [(owner, dict(vars(owner))) for owner in _SHARED]
        self._environment = dict(os.environ)
        self._search_path = list(sys.path)
        self._dtype, self._device = torch.get_default_dtype(), torch.get_default_device()

    def restore(self) -> str | None:
        """Put right what a prompt has changed; why the process cannot go on, if it cannot."""
        for owner, names in self._shared:
            _restore_names(owner, names)
        sys.setrecursionlimit(self._recursion_limit)
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
        gc.enable()
        os.umask(self._umask)
        self._restore_signals()
        self._restore_limits()
        self._restore_streams()
        self._restore_places()
        if torch.get_default_dtype() is not self._dtype:
            torch.set_default_dtype(self._dtype)
        if torch.get_default_device() != self._device:
            torch.set_default_device(None)
        return self._unfit()

    def _restore_signals(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, handler)

    def _restore_limits(self) -> None:
        for limit, (soft, hard) in self._limits.items():
            now = resource.getrlimit(limit)
            if now != (soft, hard):
                with contextlib.suppress(OSError, ValueError):
                    resource.setrlimit(limit, (soft, hard))

    def _restore_streams(self) -> None:
        """Packs may put others in these places, but not nothing."""
        for name in ("stdout", "stderr"):
            if _is_closed(getattr(sys, name)):
                setattr(sys, name, getattr(sys, f"__{name}__"))
                if _is_closed(getattr(sys, name)):
                    setattr(sys, name, _nowhere())

    def _restore_places(self) -> None:
        """Folder, variables and search path: what packs have added stays."""
        if self._folder is not None and _current_folder() != self._folder:
            with contextlib.suppress(OSError):
                os.chdir(self._folder)
        for name in self._environment.keys() - os.environ.keys():
            os.environ[name] = self._environment[name]
        sys.path.extend(place for place in self._search_path if place not in sys.path)

    def _unfit(self) -> str | None:
        try:
            count = sum(1 for _ in _OPEN_FILES.iterdir()) if _OPEN_FILES.exists() else 0
            if count + _FREE_FILES > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
                return f"has {count} files open, which leaves too few for another prompt"
            if threading.active_count() > _MANY_THREADS:  # more may not be had
                thread = threading.Thread(target=int)
                thread.start()
                thread.join()
        except (OSError, RuntimeError, MemoryError) as error:
            return f"lacks what a prompt needs: {error}"
        return None


def _restore_names(owner: Any, names: dict[str, Any]) -> None:
    now = vars(owner)
    for name, value in names.items():
        if now.get(name) is not value:
            with contextlib.suppress(AttributeError, TypeError):
                setattr(owner, name, value)


def _current_folder() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it is gone
        return None


def _is_closed(stream: Any) -> bool:
    return stream is None or getattr(stream, "closed", False) is True


def _nowhere() -> Any:
    return Path(os.devnull).open("w")
