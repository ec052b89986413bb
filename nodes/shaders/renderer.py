"""A process of its own that runs shaders: `python -m nodes.shaders.renderer --fd N`.

OpenGL compiles what strangers wrote, and a shader may never come to an end: here neither can take
a worker along. Knows nothing of torch; started and asked by `nodes.shaders.process`.
"""

from __future__ import annotations

import argparse
import signal
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any, Final

import moderngl
import msgspec

from nodes.shaders.canvas import CannotDraw, Canvas
from nodes.shaders.messages import START_LIMIT_S, Answer, Draw, Drawn, Failed, Ready
from nodes.shaders.pixels import SharedPixels

_IDLE_S: Final = 120.0  # nobody asks any more: the memory is for others
_MOST_DEVICES: Final = 16
_EGL: Final[dict[str, Any]] = {
    "backend": "egl",  # needs no display
    "libgl": "libGL.so.1",
    "libegl": "libEGL.so.1",
}
_ES_300: Final = "GL_ARB_ES3_compatibility"  # desktop OpenGL that takes such shaders


def open_context() -> moderngl.Context:
    """OpenGL on the first device of EGL, a GPU or software, that can run shaders of GLSL ES 3.00.

    Raises CannotDraw.
    """
    reason: object = "no device takes shaders of GLSL ES 3.00"
    for device in range(_MOST_DEVICES):
        try:
            context = moderngl.create_context(standalone=True, **_EGL | {"device_index": device})
        except Exception as error:  # the library raises nothing more precise
            if "requested device index" in str(error):
                break  # that was the last
            reason = error
            continue
        if _ES_300 in context.extensions:
            return context
        context.release()
    raise CannotDraw(
        f"OpenGL cannot be used: {reason}. On a machine without a display, Debian's packages "
        "libegl1, libgl1 and libgl1-mesa-dri bring an OpenGL in software"
    )


def serve(connection: Connection) -> None:
    """Draw for whom the connection leads to, until it is closed or silent for long.

    An alarm that nobody handles ends the process where it takes too long, whatever OpenGL does.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, START_LIMIT_S)
    try:
        context = open_context()
    except CannotDraw as error:
        _say(connection, Failed(str(error)))
        return
    info = context.info
    _say(connection, Ready(str(info["GL_RENDERER"]), int(info["GL_MAX_TEXTURE_SIZE"])))
    signal.setitimer(signal.ITIMER_REAL, 0)
    canvas = Canvas(context)
    while connection.poll(_IDLE_S):
        try:
            request = msgspec.msgpack.decode(connection.recv_bytes(), type=Draw)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, request.limit_s)
        _draw(connection, canvas, request)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _draw(connection: Connection, canvas: Canvas, request: Draw) -> None:
    pixels = SharedPixels(request.counts, recv_handle(connection))
    try:
        canvas.draw(request, list(pixels.views()))
    except CannotDraw as error:
        _say(connection, Failed(str(error)))
    else:
        _say(connection, Drawn())
    finally:
        pixels.close()


def _say(connection: Connection, answer: Answer) -> None:
    connection.send_bytes(msgspec.msgpack.encode(answer))


def main() -> None:
    """Take the descriptor of the connection from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    with Connection(parser.parse_args().fd) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
