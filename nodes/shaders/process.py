"""Asks a process of its own to run shaders: started when it is needed, ended when it hangs."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from threading import Lock
from typing import Final, TypeAlias

import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray

from nodes.context import check_interrupted
from nodes.shaders.messages import RGBA, START_LIMIT_S, Answer, Draw, Failed, Ready
from nodes.shaders.pixels import SharedPixels

Pixels: TypeAlias = NDArray[np.float32]

_PROGRAM: Final = "nodes.shaders.renderer"
_ROOT: Final = Path(__file__).resolve().parents[2]
_POLL_S: Final = 0.05  # how often one who waits looks whether the prompt was interrupted
# What the process may hold beside copies of pictures: compilers take much for little text.
_MOST_BYTES: Final = 2 * 2**30
_COPIES: Final = 8  # of all pixels: shared, textures, those of passes, and what drivers keep
_EXIT_S: Final = 5.0  # until a process that has closed its connection is gone


class ShaderFailed(ValueError):
    """A shader cannot be compiled or run; says why."""


class OpenGLMissing(RuntimeError):
    """What shaders need is not installed."""


class ShaderProcess:
    """At most one process, kept between calls. For one thread at a time; others wait."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.connection: Connection | None = None
        self._longest_side = 0

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return self._process.pid if self._process else None

    def draw(self, request: Draw, pictures: Sequence[Pixels]) -> list[Pixels]:
        """The rows of each target, [H, W, 4], the lowest first; those of textures are given.

        Raises ShaderFailed, OpenGLMissing and Interrupted; the process is ended where it may still
        be at it.
        """
        with self._lock:
            try:
                return self._asked(request, pictures)
            except ShaderFailed:
                raise  # and the process waits for the next request
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End the process, if there is one."""
        process, connection = self._process, self.connection
        self._process = self.connection = None
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.wait()

    def _ready(self) -> Connection:
        """The connection to a process that waits: one that nobody asks for long has ended."""
        if self._process is None or self._process.poll() is not None or self.connection is None:
            self.close()
            self.connection = self._started()
        return self.connection

    def _started(self) -> Connection:
        if find_spec("moderngl") is None:
            raise OpenGLMissing("shaders need the library moderngl: pip install moderngl")
        ours, theirs = socket.socketpair()
        connection = self.connection = Connection(ours.detach())
        with theirs:
            path = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _PROGRAM, "--fd", str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        try:
            answer = _answer(connection)
        except (EOFError, OSError):
            end = _end(self._ended(), START_LIMIT_S)
            raise OpenGLMissing(f"OpenGL cannot be used: its start {end}") from None
        except BaseException:
            self.close()
            raise
        if not isinstance(answer, Ready):
            self.close()
            raise OpenGLMissing(answer.reason if isinstance(answer, Failed) else str(answer))
        self._longest_side = answer.longest_side
        return connection

    def _asked(self, request: Draw, pictures: Sequence[Pixels]) -> list[Pixels]:
        for may_be_idle in (True, False):
            connection = self._ready()
            self._check_sides(request)
            shared = SharedPixels(request.counts)
            try:
                views = [np.frombuffer(view, np.float32) for view in shared.views()]
                for view, picture in zip(views, pictures, strict=False):
                    view.reshape(picture.shape)[:] = picture
                connection.send_bytes(msgspec.msgpack.encode(request))
                send_handle(connection, shared.descriptor, None)
                answer = _answer(connection, partial(self._check_memory, shared.size))
                if isinstance(answer, Failed):
                    raise ShaderFailed(answer.reason)
                shape = (request.height, request.width, RGBA)
                return [view.reshape(shape) for view in views[len(request.textures) :]]
            except (EOFError, OSError):
                code = self._ended()
                if code == 0 and may_be_idle:
                    continue  # nobody had asked for long: it has just gone
                raise ShaderFailed(f"the shader {_end(code, request.limit_s)}") from None
            finally:
                shared.close()
        raise AssertionError("unreachable")

    def _check_memory(self, pixels: int) -> None:
        """Ends the process, and raises ShaderFailed, where it takes too much for so many bytes."""
        most = _MOST_BYTES + _COPIES * pixels
        assert self._process is not None
        with suppress(psutil.Error):  # it has just ended, which its connection tells
            if psutil.Process(self._process.pid).memory_info().rss > most:
                self.close()
                raise ShaderFailed(f"the shader took more than {most / 2**30:.1f} GB of memory")

    def _check_sides(self, request: Draw) -> None:
        sides = [(request.width, request.height), *((t.width, t.height) for t in request.textures)]
        longest = max(max(pair) for pair in sides)
        if longest > self._longest_side:
            raise ShaderFailed(
                f"OpenGL takes pictures of at most {self._longest_side} pixels a side here, "
                f"not {longest}"
            )

    def _ended(self) -> int:
        """The exit code of the process, which has closed its connection."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_S)
        code = self._process.poll()
        self.close()
        return -signal.SIGKILL if code is None else code


def _end(code: int, limit_s: float) -> str:
    """How a process ended, as the end of a sentence."""
    if code == -signal.SIGALRM:
        return f"was not done after {limit_s:g} seconds"
    if code < 0:
        return f"ended the process of OpenGL by the signal {signal.Signals(-code).name}"
    return f"ended the process of OpenGL with the code {code}"


def _answer(connection: Connection, check: Callable[[], None] = lambda: None) -> Answer:
    while not connection.poll(_POLL_S):
        check_interrupted()
        check()
    answer: Answer = msgspec.msgpack.decode(connection.recv_bytes(), type=Answer)
    return answer


SHADERS: Final = ShaderProcess()  # the one of this worker
atexit.register(SHADERS.close)
