"""A node that does the worst, by name."""

import ctypes
import gc
import json
import logging
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

import comfy.model_management
import folder_paths


def fill_memory():
    kept = []
    while True:
        kept.append(torch.ones(64 * 2**20 // 4))


def wait_for_interrupt():
    while True:
        comfy.model_management.throw_exception_if_processing_interrupted()
        time.sleep(0.01)


def raise_(error):
    raise error


def out_of_memory_once(marker):
    if not marker.exists():
        marker.touch()
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


kept = []


def go_on_twice():
    """Both the worker and its child go on with the prompt."""
    os.fork()


def leave_a_child_and_end():
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)
    os._exit(7)


def open_all_files():
    try:
        while True:
            kept.append(open(os.devnull))
    except OSError:
        pass


def print_much():
    """More than any pipe holds, by Python and by native code."""
    for stream in (sys.stdout, sys.stderr):
        for number in range(3000):
            print(number, "x" * 100, file=stream)
        stream.flush()
        os.write(stream.fileno(), b"native " * 50_000)


def put_others_in_place():
    json.dumps = json.loads = json.JSONEncoder.encode = None
    sys.setrecursionlimit(60)
    sys.stdout.close()
    gone = tempfile.mkdtemp()
    os.chdir(gone)
    os.rmdir(gone)
    torch.set_default_device("meta")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


FAULTS = {
    "nothing": lambda marker: None,
    "wait": lambda marker: wait_for_interrupt(),
    "error": lambda marker: raise_(ValueError("as it was told")),
    "segfault": lambda marker: ctypes.string_at(0),
    "kill": lambda marker: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda marker: os._exit(7),
    "sleep": lambda marker: time.sleep(3600),
    # PyDLL keeps the interpreter lock during the call.
    "hold the lock": lambda marker: ctypes.PyDLL(None).sleep(3600),
    "memory error": lambda marker: raise_(MemoryError("no room")),
    "fill memory": lambda marker: fill_memory(),
    "device memory": lambda marker: raise_(torch.OutOfMemoryError("CUDA out of memory.")),
    "device memory once": out_of_memory_once,
    "go on twice": lambda marker: go_on_twice(),
    "leave a child and end": lambda marker: leave_a_child_and_end(),
    "open all files": lambda marker: open_all_files(),
    "put others in place": lambda marker: put_others_in_place(),
    "close what is open": lambda marker: os.closerange(3, 1 << 16),
    "log much": lambda marker: logging.warning("x" * 100_000_000),
    "print much": lambda marker: print_much(),
    "long message": lambda marker: raise_(ValueError("x" * 30_000_000)),
    "SystemExit": lambda marker: raise_(SystemExit(3)),
    "KeyboardInterrupt": lambda marker: raise_(KeyboardInterrupt()),
    "GeneratorExit": lambda marker: raise_(GeneratorExit()),
}
SHOWN = {"bytes": b"\xff\x00", "object": object(), "NaN": float("nan"), "set": {1}}


class Fault:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"kind": ("STRING", {}), "seed": ("INT", {"default": 0})}}

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    def run(self, kind, seed):
        folder = Path(folder_paths.get_user_directory())
        with (folder / "started.txt").open("a") as file:
            file.write(f"{seed}\n")
        if kind in SHOWN:
            return {"ui": {"shown": [SHOWN[kind]]}}
        FAULTS[kind](folder / f"marker{seed}")
        gc.collect()
        with (folder / "completed.txt").open("a") as file:
            file.write(f"{seed}\n")
        return {"ui": {"process": [os.getpid()]}}


class FaultyCheck(Fault):
    @classmethod
    def VALIDATE_INPUTS(cls, kind):
        FAULTS[kind](None)
        return True


NODE_CLASS_MAPPINGS = {"Fault": Fault, "FaultyCheck": FaultyCheck}
