"""A worker process without torch, over the nodes below: `python -m <this> --fd N`."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from executor.calls import CheckRequest
from executor.folders import Folders
from executor.messages import Call, Event, Execute, Free, Ready
from executor.worker.cache import ClassicCache
from executor.worker.channel import Channel
from executor.worker.checks import validate_inputs
from executor.worker.contract import NodeClass
from executor.worker.engine import Engine
from executor.worker.interruptions import Interruptions
from executor.worker.process import WorkerProcess
from nodes.context import Services, current_context
from tests.executor.worker.harness import BASIC, Show, Value


class Steps(Value):
    """Reports progress until it is interrupted, or for a number of steps."""

    def run(self, value: Any) -> tuple[Any]:
        """`value` steps of 5 ms."""
        for step in range(value):
            current_context().report(step + 1, value)
            time.sleep(0.005)
        return (value,)


class Noisy(Show):
    """Writes to its standard streams, one that child processes would get too."""

    def run(self, value: Any) -> dict[str, Any]:
        """Noise."""
        print("noise on stdout", flush=True)
        os.write(2, b"noise on stderr\n")
        return {"ui": {"text": ["quiet"]}}


class Checked(Show):
    """Has a check of its own."""

    @classmethod
    def VALIDATE_INPUTS(cls, value: Any) -> bool | str:
        """Refuses 13."""
        if value == "raise":
            raise LookupError("nowhere")
        return "unlucky" if value == 13 else True


class Leave(Value):
    """Tries to end the process."""

    def run(self, value: Any) -> tuple[Any]:
        """Exit."""
        sys.exit(7)


CLASSES: dict[str, NodeClass] = BASIC | {
    "Steps": Steps,
    "Noisy": Noisy,
    "Checked": Checked,
    "Leave": Leave,
}


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """Implements `executor.worker.process.Loaded`."""

    engine: Engine
    ready: Ready

    def execute(self, command: Execute, emit: Callable[[Event], None]) -> None:
        """Run the prompt."""
        self.engine.execute(command, emit)

    def free(self, command: Free) -> None:
        """Forget results."""
        self.engine.clear_results()

    def answer(self, call: Call) -> Any:
        """The class checks."""
        request = msgspec.convert(call.arguments, CheckRequest)
        return msgspec.to_builtins(validate_inputs(CLASSES, request))


def load(interruptions: Interruptions) -> Scripted:
    """An engine over the test classes."""
    engine = Engine(
        CLASSES,
        services=Services(folders=Folders.build(Path("/nowhere"))),
        cache=ClassicCache(),
        interruptions=interruptions,
    )
    ready = Ready(devices=[], versions={}, definitions=None, fingerprint="scripted")
    return Scripted(engine=engine, ready=ready)


def main() -> None:
    """Serve; `--at-end FILE` leaves a file when the server is gone, which takes a moment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--at-end", type=Path)
    arguments = parser.parse_args()

    def leave_file() -> None:
        if arguments.at_end is not None:
            time.sleep(0.5)
            arguments.at_end.touch()

    channel = Channel(socket.socket(fileno=arguments.fd))
    WorkerProcess(channel, load, heartbeat_s=0.05, on_end=leave_file).run()


if __name__ == "__main__":
    main()
