"""Nodes that make, keep and sort encoded datasets: latents with the conditioning of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from nodes.base import inputs
from nodes.conditioning import CLIPTextEncode
from nodes.datasets.base import DatasetNode
from nodes.vae import VAEEncode

_SHARD: Final = "shard_{:04}.pkl"
_FOLDER: Final = ("STRING", {"default": "training_dataset", "multiline": False})
_PAIR: Final = ("LATENT", "CONDITIONING")
_NAMES: Final = ("latents", "conditioning")


class MakeTrainingDataset(DatasetNode):
    """Encodes pictures and their texts."""

    DISPLAY_NAME = "Make Training Dataset"
    REQUIRED = inputs(images=("IMAGE",), vae=("VAE",), clip=("CLIP",))
    OPTIONAL = inputs(texts=("STRING", {"multiline": False}))
    RETURN_TYPES = _PAIR
    RETURN_NAMES = _NAMES
    INPUT_IS_LIST: ClassVar[bool] = True
    OUTPUT_IS_LIST = (True, True)

    def run(
        self, images: list[Tensor], vae: list[Any], clip: list[Any], texts: list[str] | None = None
    ) -> tuple[list[Any], list[Any]]:
        """One text is that of all pictures, none an empty one; else there is one for each."""
        texts = texts or [""]
        if len(texts) == 1:
            texts = texts * len(images)
        if len(texts) != len(images):
            raise ValueError(f"there are {len(images)} images, but {len(texts)} texts")
        latents = [VAEEncode().run(vae=vae[0], pixels=image[..., :3])[0] for image in images]
        encoded = {text: CLIPTextEncode().run(clip=clip[0], text=text)[0] for text in set(texts)}
        return latents, [encoded[text] for text in texts]


class ResolutionBucket(DatasetNode):
    """Puts latents of one size together, so that they can be trained as batches."""

    DISPLAY_NAME = "Resolution Bucket"
    REQUIRED = inputs(latents=("LATENT",), conditioning=("CONDITIONING",))
    RETURN_TYPES = _PAIR
    RETURN_NAMES = _NAMES
    INPUT_IS_LIST: ClassVar[bool] = True
    OUTPUT_IS_LIST = (True, True)

    def run(
        self, latents: list[dict[str, Tensor]], conditioning: list[Any]
    ) -> tuple[list[dict[str, Tensor]], list[Any]]:
        """One batch for each size, in the order in which these come; with its conditionings."""
        _check_pairs(latents, conditioning)
        samples: dict[tuple[int, ...], list[Tensor]] = {}
        texts: dict[tuple[int, ...], list[Any]] = {}
        for latent, text in zip(latents, conditioning, strict=True):
            size = tuple(latent["samples"].shape[1:])
            samples.setdefault(size, []).append(latent["samples"])
            texts.setdefault(size, []).append(text)
        return [{"samples": torch.cat(batch)} for batch in samples.values()], list(texts.values())


class SaveTrainingDataset(DatasetNode):
    """Writes an encoded dataset into a folder in the output folder."""

    DISPLAY_NAME = "Save Training Dataset"
    REQUIRED = inputs(
        latents=("LATENT",),
        conditioning=("CONDITIONING",),
        folder_name=_FOLDER,
        shard_size=("INT", {"default": 1000, "min": 1, "max": 100000}),
    )
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    OUTPUT_NODE = True
    INPUT_IS_LIST: ClassVar[bool] = True
    IN_BACKGROUND = True

    def run(
        self,
        latents: list[Any],
        conditioning: list[Any],
        folder_name: list[str],
        shard_size: list[int],
        **_: Any,
    ) -> tuple[()]:
        """`shard_size` pairs a file; older files of the folder's dataset are replaced."""
        _check_pairs(latents, conditioning)
        folder = self.context.folders.file_path("output", folder_name[0])
        folder.mkdir(parents=True, exist_ok=True)
        starts = range(0, len(latents), shard_size[0])
        paths = [folder / _SHARD.format(number) for number in range(len(starts))]
        for path, start in zip(paths, starts, strict=True):
            part = slice(start, start + shard_size[0])
            content = {"latents": latents[part], "conditioning": conditioning[part]}
            _replace(path, content)
        for path in _shards(folder)[len(starts) :]:
            path.unlink()
        summary = {"num_samples": len(latents), "num_shards": len(starts)}
        text = json.dumps(summary | {"shard_size": shard_size[0]}, indent=2)
        described = folder / "metadata.json"
        described.write_text(text, encoding="utf-8")
        self.context.wrote([*paths, described])
        return ()


class LoadTrainingDataset(DatasetNode):
    """Reads an encoded dataset from a folder in the output folder."""

    DISPLAY_NAME = "Load Training Dataset"
    REQUIRED = inputs(folder_name=_FOLDER)
    RETURN_TYPES = _PAIR
    RETURN_NAMES = _NAMES
    OUTPUT_IS_LIST = (True, True)

    @classmethod
    def IS_CHANGED(cls, folder_name: str) -> float:
        """Always: files may have been written meanwhile."""
        return float("nan")

    def run(self, folder_name: str) -> tuple[list[Any], list[Any]]:
        """Nothing but tensors and plain values is read. Raises ValueError for an empty folder."""
        folder = self.context.folders.file_path("output", folder_name)
        latents: list[Any] = []
        conditioning: list[Any] = []
        for path in _shards(folder):
            content = torch.load(path, map_location="cpu", weights_only=True)
            latents += content["latents"]
            conditioning += content["conditioning"]
        if not latents:
            raise ValueError(f"there is no training dataset in the folder '{folder.name}'")
        return latents, conditioning


def _check_pairs(latents: list[Any], conditioning: list[Any]) -> None:
    if len(latents) != len(conditioning):
        raise ValueError(f"there are {len(latents)} latents, but {len(conditioning)} conditionings")


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard_*.pkl"))


def _replace(path: Path, content: Any) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        torch.save(content, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
