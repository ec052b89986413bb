"""SD 1.5's shape on a GPU: python benchmarks/gpu.py [--modes MODE ...]

A checkpoint with random weights is drawn with (20 steps of Euler, cfg 7) in each way that weights
can be kept, and trained. Each mode runs in a process of its own and says the milliseconds of a step
and of decoding, for a first run, which loads and tunes, and for two more, with the largest memory
that PyTorch took of the GPU. `check` compares number types and, in float32, the CPU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.load import Checkpoint, load_checkpoint
from models.memory import choose_policy
from models.sampling.sample import sample_latent
from models.training import Course, train

SHAPE: Final = {
    "channels": (320, 640, 1280, 1280), "depths": (1, 1, 1, 0), "blocks": 2, "context": 768,
    "heads": 8, "groups": 32, "vae_channels": (128, 256, 512, 512), "vae_blocks": 2,
    "text_layers": 12,
}  # fmt: skip
STEPS: Final = 20
RUNS: Final = 3
MIB: Final = 1 << 20
# What choose_policy is asked for.
MODES: Final[dict[str, dict[str, Any]]] = {
    "half": {},
    "fp32": {"force": "fp32"},
    "float8": {"unet": "fp8_e4m3fn"},
    "lowvram": {"vram": "low"},
    "novram": {"vram": "none"},
    "max-vram-700M": {"max_vram": 700 * MIB},
}


def now() -> float:
    """Seconds, when the GPU is done."""
    torch.cuda.synchronize()
    return time.perf_counter()


def draw(loaded: Checkpoint, side: int, batch: int, steps: int = STEPS) -> tuple[Tensor, float]:
    """The latents of pictures, and the seconds that they took."""
    assert loaded.text is not None
    positive = loaded.text.encode_text("a photo of a fox in the snow")
    negative = loaded.text.encode_text("blurry, low quality")
    begun = now()
    latent = sample_latent(
        loaded.model,
        {"samples": torch.zeros(batch, 4, side // 8, side // 8)},
        seed=1, steps=steps, cfg=7.0, sampler_name="euler", scheduler="normal",
        positive=positive, negative=negative, callback=lambda *_: None,
    )  # fmt: skip
    return latent["samples"], now() - begun


def measure(name: str, path: Path, side: int, batch: int) -> None:
    """Draw several times."""
    loaded = load_checkpoint(path, choose_policy(**MODES[name]))
    assert loaded.vae is not None
    torch.cuda.reset_peak_memory_stats()
    steps, decoding = [], []
    for _ in range(RUNS):
        latent, seconds = draw(loaded, side, batch)
        steps.append(f"{seconds / STEPS * 1000:.0f}")
        begun = now()
        loaded.vae.decode(latent)
        decoding.append(f"{(now() - begun) * 1000:.0f}")
    peak = torch.cuda.max_memory_allocated() / MIB
    print(
        f"{name}, {batch} of {side} x {side}: ms a step {', '.join(steps)}; "
        f"decoding {', '.join(decoding)} ms; most memory {peak:.0f} MiB",
        flush=True,
    )


def compare(path: Path) -> None:
    """How far number types and devices are from each other; latents, relative to the largest."""
    half, _ = draw(load_checkpoint(path, choose_policy()), 512, 1)
    loaded = load_checkpoint(path, choose_policy(force="fp32"))
    whole, _ = draw(loaded, 512, 1)
    small, _ = draw(loaded, 256, 1, steps=2)
    at_home, _ = draw(load_checkpoint(path, choose_policy(cpu=True)), 256, 1, steps=2)
    for name, one, other in (
        ("half and fp32, 20 steps", half, whole),
        ("GPU and CPU in fp32, 2 steps", small, at_home),
    ):
        print(f"{name}: {float((one - other).abs().max() / other.abs().max()):.1e}", flush=True)


def learn(path: Path) -> None:
    """Train a LoRA."""
    loaded = load_checkpoint(path, choose_policy())
    assert loaded.text is not None
    prompt, latents = loaded.text.encode_text("a fox"), torch.randn(4, 4, 64, 64)
    for saves_memory in (True, False):
        torch.cuda.reset_peak_memory_stats()
        course = Course(
            steps=12, batch_size=4, dtype=torch.bfloat16, saves_memory=saves_memory,
            learning_rate=1e-4,
        )  # fmt: skip
        marks: list[float] = []
        train(loaded.model, [latents], [prompt], course, progress=_noting(marks))
        peak = torch.cuda.max_memory_allocated() / MIB
        print(
            f"training in bf16, 4 of 512 x 512, checkpointing {saves_memory}: "
            f"{(marks[-1] - marks[3]) / 8 * 1000:.0f} ms a step; most memory {peak:.0f} MiB",
            flush=True,
        )


def _noting(marks: list[float]) -> Callable[[int, int, float], None]:
    """Notes when steps end."""
    return lambda _step, _steps, _loss: marks.append(now())


def work(mode: str, path: Path) -> None:
    """One mode, in this process."""
    if mode == "check":
        compare(path)
    elif mode == "training":
        learn(path)
    else:
        measure(mode, path, 512, 1)
        if mode == "half":
            measure(mode, path, 512, 4)
            measure(mode, path, 1024, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    every = [*MODES, "check", "training"]
    parser.add_argument("--modes", nargs="*", choices=every, default=every)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file is not None:
        work(arguments.modes[0], arguments.file)
        return
    from tests.models.tiny import TinyModel, save_checkpoint

    print(torch.cuda.get_device_name(), "PyTorch", torch.__version__, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = save_checkpoint(
            Path(folder) / "sd15.safetensors",
            TinyModel(**SHAPE),  # type: ignore[arg-type]
        )
        for mode in arguments.modes:
            command = [sys.executable, __file__, "--modes", mode, "--file", str(path)]
            subprocess.run(command, check=False)


if __name__ == "__main__":
    main()
