"""Trains the starter model from nothing: `python -m models.starter.train --work FOLDER`.

Every stage leaves a file in the work folder and is resumed or skipped by what it finds there.
A file named `finish` there makes the denoiser's training go into its last phase at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from models.starter.captions import describe, describe_ground_first, sample_scene
from models.starter.diffusion import Plan, Training, train_diffusion
from models.starter.export import save_checkpoint
from models.starter.parallel import PROCESSES, join, leave
from models.starter.shapes import SIZE, draw
from models.starter.vae import (
    Pictures,
    build_vae,
    encode_means,
    normalise,
    polish_decoder,
    refine_vae,
    train_vae,
    wake_channels,
)
from models.starter.wording import Wording

PICTURES = 32_000
SHARD = 500
WORDINGS = 6  # captions for each picture
CHECKPOINT = Path(__file__).with_name("darkroom_starter.safetensors")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What the command line says."""

    work: Path
    output: Path
    vae_steps: int
    refine_steps: int
    polish_steps: int
    diffusion: Plan

    def log(self, line: str) -> None:
        """Print a line and keep it in the log that the loss curves are drawn from."""
        stamped = f"{datetime.datetime.now():%H:%M:%S} {line}"
        print(stamped, flush=True)
        with (self.work / "losses.log").open("a") as file:
            file.write(stamped + "\n")


def picture_rng(index: int) -> np.random.Generator:
    """The generator that draws training picture `index`; evaluation uses other seeds."""
    return np.random.default_rng((7, index))


def _draw_shard(first: int) -> Pictures:
    drawn = []
    for index in range(first, first + SHARD):
        rng = picture_rng(index)
        drawn.append(draw(sample_scene(rng), rng))
    return np.stack(drawn)


def make_pictures(folder: Path) -> Pictures:
    """Draw the training set into one memory-mapped file."""
    path = folder / "pictures.npy"
    if not path.exists():
        partial = path.with_suffix(".partial")
        shape = (PICTURES, SIZE, SIZE, 3)
        pictures = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
        with ProcessPoolExecutor(PROCESSES) as pool:
            firsts = range(0, PICTURES, SHARD)
            for first, shard in zip(firsts, pool.map(_draw_shard, firsts), strict=True):
                pictures[first : first + SHARD] = shard
        pictures.flush()
        partial.rename(path)
    loaded: Pictures = np.load(path, mmap_mode="r")
    return loaded


def make_captions() -> list[list[str]]:
    """WORDINGS captions for each picture; they follow from its index."""
    captions = []
    for index in range(PICTURES):
        scene = sample_scene(picture_rng(index))
        rng = np.random.default_rng((8, index))
        wordings = [describe(scene, rng) for _ in range(WORDINGS)]
        if scene.second is None:
            wordings[0] = describe_ground_first(scene, rng)
        captions.append(wordings)
    return captions


def tokenize(folder: Path) -> tuple[Wording, Tensor]:
    """The vocabulary and the captions' compact ids, int16 n k 77."""
    path = folder / "captions.pt"
    if not path.exists():
        captions = make_captions()
        wording = Wording.of({caption for several in captions for caption in several})
        ids = torch.stack([wording.encode(several).to(torch.int16) for several in captions])
        torch.save({"known": wording.known, "ids": ids}, path)
    saved = torch.load(path, weights_only=True)
    return Wording(saved["known"]), saved["ids"]


def together(work: Callable[[int, Settings], None], settings: Settings) -> None:
    """Run `work(rank, settings)` in every process of the group."""
    (settings.work / "meeting").unlink(missing_ok=True)
    spawn(work, (settings,), nprocs=PROCESSES)  # type: ignore[no-untyped-call]


def _refine_one(rank: int, settings: Settings) -> None:
    join(rank, settings.work / "meeting")
    torch.manual_seed(17)
    pictures = make_pictures(settings.work)
    vae = build_vae()
    saved = torch.load(settings.work / "vae.pt", weights_only=True)
    vae.load_state_dict(saved["averaged"])
    wake_channels(vae, encode_means(vae, pictures[:256]))
    log = settings.log if rank == 0 else ignore
    refine_vae(vae, pictures, settings.refine_steps, rank, settings.work / "vae_refined.pt", log)
    leave()


def ignore(_: str) -> None:
    """A log that nobody reads."""


def make_latents(settings: Settings, pictures: Pictures) -> Tensor:
    """Train the autoencoder, normalise it, encode every picture: float16 n 4 16 16, model space."""
    path = settings.work / "latents.pt"
    if not path.exists():
        train_vae(pictures, settings.vae_steps, settings.work / "vae.pt", settings.log)
        together(_refine_one, settings)
        vae = build_vae()
        refined = torch.load(settings.work / "vae_refined.pt", weights_only=True)
        vae.load_state_dict(refined["averaged"])
        settings.log("encoding the pictures")
        latents = normalise(vae, encode_means(vae, pictures))
        torch.save(vae.state_dict(), settings.work / "vae_normalised.pt")
        torch.save((latents * vae.config.scaling_factor).half(), path)
    loaded: Tensor = torch.load(path, weights_only=True)
    return loaded


def export(settings: Settings, training: Training, wording: Wording) -> None:
    """Write the averaged weights as a checkpoint."""
    vae = build_vae()
    polished = settings.work / "vae_polished.pt"
    source = polished if polished.exists() else settings.work / "vae_normalised.pt"
    saved = torch.load(source, weights_only=True)
    vae.load_state_dict(saved["model"] if source == polished else saved)
    text = dict(training.averaged.text.state_dict())
    table = "embeddings.token_embedding.weight"
    text[table] = wording.spread(text[table])
    save_checkpoint(settings.output, training.averaged.unet, vae, text)


def _train_one(rank: int, settings: Settings) -> None:
    join(rank, settings.work / "meeting")
    wording, captions = tokenize(settings.work)
    latents = torch.load(settings.work / "latents.pt", weights_only=True)
    checkpoint = settings.work / "diffusion.pt"
    training = Training.begin(wording.size, checkpoint)

    def keep(now: Training) -> None:
        if rank == 0:
            now.save(checkpoint)
            export(settings, now, wording)

    log = settings.log if rank == 0 else ignore
    train_diffusion(
        training,
        latents,
        captions,
        settings.diffusion,
        rank,
        log,
        keep,
        (settings.work / "finish").exists,
    )
    leave()


def parse() -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and checkpoints")
    parser.add_argument("--output", type=Path, default=CHECKPOINT, help="the checkpoint to write")
    parser.add_argument("--vae-steps", type=int, default=6000)
    parser.add_argument("--refine-steps", type=int, default=2500)
    parser.add_argument("--diffusion-steps", type=int, default=6850)
    parser.add_argument("--decay-steps", type=int, default=1100)
    parser.add_argument("--polish-steps", type=int, default=400)
    given = parser.parse_args()
    plan = Plan(steps=given.diffusion_steps, decay=given.decay_steps)
    given.work.mkdir(parents=True, exist_ok=True)
    return Settings(
        work=given.work,
        output=given.output,
        vae_steps=given.vae_steps,
        refine_steps=given.refine_steps,
        polish_steps=given.polish_steps,
        diffusion=plan,
    )


def main() -> None:
    """Run the stages that are not done yet."""
    settings = parse()
    torch.set_num_threads(PROCESSES)
    pictures = make_pictures(settings.work)
    make_latents(settings, pictures)
    tokenize(settings.work)
    together(_train_one, settings)
    polish_decoder(
        pictures,
        settings.polish_steps,
        settings.work / "vae_normalised.pt",
        settings.work / "vae_polished.pt",
        settings.log,
    )
    wording, _ = tokenize(settings.work)
    export(settings, Training.begin(wording.size, settings.work / "diffusion.pt"), wording)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(PROCESSES))
    main()
