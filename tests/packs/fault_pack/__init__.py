"""A node that does the worst, by name."""

import ctypes
import gc
import os
import signal
import time
from pathlib import Path

import torch

import folder_paths


def fill_memory():
    kept = []
    while True:
        kept.append(torch.ones(64 * 2**20 // 4))


def raise_(error):
    raise error


def out_of_memory_once(marker):
    if not marker.exists():
        marker.touch()
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


FAULTS = {
    "nothing": lambda marker: None,
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
        return {"ui": {"process": [os.getpid()]}}


NODE_CLASS_MAPPINGS = {"Fault": Fault}
