"""The memory of a worker over prompts that rotate checkpoints.

    PYTHONPATH=. python benchmarks/memory_rotation.py

Makes three checkpoints of 150 to 190 MB with random weights (float16, as most files are), or takes
real ones from --checkpoints. Prints resident memory after certain prompts, and what was loaded.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
from serving import serving

from tests.models.tiny import TinyModel, save_checkpoint

SHOWN: Final = (1, 2, 3, 10, 20, 50, 100, 150, 200)
WIDTHS: Final = (224, 240, 256)  # of the first level of each made UNet


def make_checkpoints(folder: Path) -> list[str]:
    """Three files of different sizes; their names."""
    names = []
    for width in WIDTHS:
        model = TinyModel(
            channels=(width, 2 * width), depths=(1, 1), blocks=2, groups=8, heads=8, context=128
        )
        names.append(save_checkpoint(folder / f"width{width}.safetensors", model).name)
    return names


def graph(checkpoint: str, number: int, side: int) -> dict[str, Any]:
    """Text to a picture of its own."""
    inputs: dict[str, dict[str, Any]] = {
        "CheckpointLoaderSimple": {"ckpt_name": checkpoint},
        "CLIPTextEncode": {"text": f"picture {number}", "clip": ["CheckpointLoaderSimple", 1]},
        "EmptyLatentImage": {"width": side, "height": side, "batch_size": 1},
        "KSampler": {
            **{"model": ["CheckpointLoaderSimple", 0], "latent_image": ["EmptyLatentImage", 0]},
            **{"positive": ["CLIPTextEncode", 0], "negative": ["CLIPTextEncode", 0]},
            **{"seed": number, "steps": 2, "cfg": 2.0, "denoise": 1.0},
            **{"sampler_name": "euler", "scheduler": "normal"},
        },
        "VAEDecode": {"samples": ["KSampler", 0], "vae": ["CheckpointLoaderSimple", 2]},
        "SaveImage": {"images": ["VAEDecode", 0], "filename_prefix": "rotation"},
    }
    return {name: {"class_type": name, "inputs": values} for name, values in inputs.items()}


async def run(session: aiohttp.ClientSession, prompt: dict[str, Any]) -> None:
    """Run a prompt to its end. Raises RuntimeError if it fails."""
    async with session.post("/prompt", json={"prompt": prompt}) as answer:
        prompt_id = (await answer.json())["prompt_id"]
    while True:
        async with session.get(f"/history/{prompt_id}") as answer:
            entry = (await answer.json()).get(prompt_id)
        if entry is not None:
            if not entry["status"]["completed"]:
                raise RuntimeError(str(entry["status"]["messages"][-1]))
            return
        await asyncio.sleep(0.05)


async def memory(session: aiohttp.ClientSession) -> dict[str, Any]:
    """What the worker says that it holds."""
    async with session.get("/system_stats") as answer:
        workers: list[dict[str, Any]] = (await answer.json())["darkroom"]["workers"]
    return workers[0]


async def measure(base: Path, names: Sequence[str], given: argparse.Namespace) -> None:
    """Print a line for each of the shown prompts, and the verdict."""
    shown: dict[int, int] = {}
    prompts, side = given.prompts, given.side
    flags = ("--max-ram", given.max_ram) if given.max_ram else ()
    async with serving(base, *flags) as (address, _), aiohttp.ClientSession(address) as session:
        print("| Prompt | Resident memory | Files opened | Networks loaded |\n|---|---|---|---|")
        for number, name in zip(range(1, prompts + 1), itertools.cycle(names), strict=False):
            await run(session, graph(name, number, side))
            if number in SHOWN or number == prompts:
                told = await memory(session)
                shown[number] = told["rss"]
                size = f"{told['rss'] / 2**20:,.0f} MiB"
                print(f"| {number} | {size} | {told['file_loads']} | {told['loads']} |", flush=True)
        async with session.post("/free", json={"free_memory": True}):
            await asyncio.sleep(2)
        print(f"after POST /free: {(await memory(session))['rss'] / 2**20:,.0f} MiB")
    if 20 in shown:
        print(f"after {prompts} prompts {shown[prompts] / shown[20]:.1%} of that after 20")


def main() -> None:
    """Serve, run, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--side", type=int, default=64, help="pixels along each side")
    parser.add_argument("--max-ram", help="the server's budget for weights, as 1G")
    parser.add_argument("--base", type=Path, help="base directory that has the --checkpoints")
    parser.add_argument("--checkpoints", nargs="+", help="real files in models/checkpoints")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = given.base or Path(temporary)
        folder = base / "models" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        names = given.checkpoints or make_checkpoints(folder)
        asyncio.run(measure(base, names, given))


if __name__ == "__main__":
    main()
