"""Memory and time of a quantised diffusion model: python benchmarks/quantised.py [float8|Q8_0|Q4_0]

A UNet of the shape of SD 1.5 with random weights is written to a temporary file, and another
process takes steps with it on one core. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

SHAPE = {
    "channels": (320, 640, 1280, 1280), "depths": (1, 1, 1, 0), "blocks": 2, "context": 768,
    "heads": 8, "groups": 32,
}  # fmt: skip
STEPS = 3
MIB = 1 << 20


def write(folder: Path, kind: str) -> Path:
    """A file of random weights in one type."""
    from tests.models.gguf_files import write_gguf
    from tests.models.tiny import TinyModel, save

    model = TinyModel(**SHAPE)  # type: ignore[arg-type]
    tensors = model.unet()
    if kind == "float8":
        narrow = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in tensors.items()}
        return save(folder / "m.safetensors", narrow, model.config)
    write_gguf(folder / "m.gguf", tensors, kind, config=model.config)
    return folder / "m.gguf"


def resident(name: str) -> int:
    """Resident memory of this process in MiB: VmRSS now, or VmHWM at most."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) // 1024


def run(path: Path, size: int) -> None:
    """Take steps; prints what was found as JSON."""
    import diffusers.loaders.single_file_utils
    import diffusers.models.unets.unet_2d_condition  # noqa: F401

    from models.load import load_unet
    from models.memory import choose_policy

    torch.set_num_threads(1)
    Path("/proc/self/clear_refs").write_text("5")  # the most is what is now
    before, start = resident("VmRSS"), time.perf_counter()
    model = load_unet(path, choose_policy(cpu=True))
    found: dict[str, float] = {"loading_s": round(time.perf_counter() - start, 1)}
    latent, context = torch.randn(1, 4, size // 8, size // 8), torch.randn(1, 77, 768)
    steps = []
    for _ in range(STEPS):
        start = time.process_time()
        model.denoised(latent, torch.tensor([2.0]), context)
        steps.append(round(time.process_time() - start, 1))
    found |= {
        "file_MiB": path.stat().st_size // MIB, "weights_MiB": model.network.size() // MIB,
        "most_above_idle_MiB": resident("VmHWM") - before,
        "stays_above_idle_MiB": resident("VmRSS") - before,
    }  # fmt: skip
    print(json.dumps(found | {"step_processor_s": steps}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", nargs="?", default="Q8_0")
    parser.add_argument("--size", type=int, default=256, help="pixels of a side")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file is not None:
        run(arguments.file, arguments.size)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), arguments.kind)
        command = [sys.executable, __file__, "--file", str(path), "--size", str(arguments.size)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
