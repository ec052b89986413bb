"""`python -m executor.worker --fd N --config JSON`: one worker process, started by the server."""

from __future__ import annotations

import argparse
import ctypes
import io
import logging
import os
import resource
import shutil
import signal
import socket
import sys

from executor.messages import Event
from executor.worker.channel import Channel
from executor.worker.interruptions import Interruptions
from executor.worker.pack_host import PackHost
from executor.worker.process import ChannelLogHandler, Loaded, WorkerProcess
from executor.worker_config import WorkerConfig

_NICENESS = 5  # a worker that computes on the CPU leaves it to the server, which answers at once

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def main() -> None:
    """Serve the socket until it closes."""
    parser = argparse.ArgumentParser(prog="python -m executor.worker")
    parser.add_argument("--fd", type=int, required=True, help="our end of a socket pair")
    parser.add_argument("--config", required=True, help="executor.worker_config as JSON")
    arguments = parser.parse_args()
    config = WorkerConfig.from_json(arguments.config)
    del sys.argv[1:]  # node packs may read them

    _die_with_the_server()
    if config.memory_limit_gb:
        limit = int(config.memory_limit_gb * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    # Ctrl-C on the terminal reaches us too; the server decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(arguments.fd, False)
    if config.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.nice(_NICENESS)
    elif config.device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(config.device)

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # it is a pipe, but people read it
    channel = Channel(socket.socket(fileno=arguments.fd))
    os.register_at_fork(after_in_child=channel.abandon)
    logging.basicConfig(
        level=config.log_level, handlers=[ChannelLogHandler(channel)], format="%(message)s"
    )

    def send(event: Event) -> None:
        channel.send(event)
        channel.flush()

    host = PackHost(config, send)

    def load(interruptions: Interruptions) -> Loaded:
        host.prepare()
        from executor.worker.loading import load as load_now

        return load_now(config, interruptions, host)

    def clean_up() -> None:
        if config.run_folder is not None:
            shutil.rmtree(config.run_folder, ignore_errors=True)

    WorkerProcess(
        channel,
        load,
        heartbeat_s=config.heartbeat_s,
        on_answer=host.link.answered,
        on_stop=host.stop,
        on_end=clean_up,
    ).run()


def _die_with_the_server() -> None:
    """Have the kernel end us when the server dies.

    The end of our connection says so too, but nobody reads it while a node holds the interpreter.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
