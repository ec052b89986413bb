"""What a quantised network takes up in memory while it computes, as the system counts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter

LAYERS, WIDTH = 6, 4096
MIB = 1 << 20

# Prints in MiB: how far computing raised what is resident, what stays of it, the size of weights.
PROGRAM = """
import sys
from pathlib import Path
import torch
from torch import nn
import diffusers.quantizers.gguf.utils
from models.devices import HOME
from models.network import assemble
from models.weights import open_weights

def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

torch.set_num_threads(1)
with torch.no_grad():
    nn.Linear(8, 8)(torch.zeros(1, 8))
    Path("/proc/self/clear_refs").write_text("5")  # the most is what is now
    before = resident("VmRSS")
    weights = open_weights(Path(sys.argv[1]))
    make = lambda: nn.Sequential(*(nn.Linear(4096, 4096, bias=False) for _ in weights.tensors))
    network = assemble(make, weights.tensors, torch.float32, weights.path)
    network.place(HOME)
    for _ in range(2):
        network.module(torch.ones(1, 4096))
    print(resident("VmHWM") - before, resident("VmRSS") - before, network.size() / 2**20)
"""


def test_no_more_than_one_layer_is_decoded_at_a_time(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "m.gguf", "test")
    blocks = np.zeros((WIDTH, WIDTH // 32 * 34), dtype=np.uint8)
    for layer in range(LAYERS):
        writer.add_tensor(f"{layer}.weight", blocks, raw_dtype=Kind.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "m.gguf")],
        capture_output=True, check=True, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    most, stays, size = map(float, done.stdout.split())
    in_float32 = LAYERS * WIDTH * WIDTH * 4 / MIB
    one_layer = in_float32 / LAYERS
    assert size < 0.27 * in_float32
    assert one_layer < most < 2.5 * one_layer  # its bytes, its values, and steps in between
    assert stays < 1.5 * one_layer
