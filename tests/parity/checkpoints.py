"""Makes the full-size checkpoints of the model parity cases: random weights from lists of shapes.

The bytes depend on the manifests and on numpy's Philox stream only, and are checked by SHA-256.
Files go to DARKROOM_TEST_CACHE, or to pytest's cache folder; they are made once.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

REFERENCE: Final = Path(__file__).resolve().parents[1] / "reference" / "parity_models"


@dataclass(frozen=True)
class Recipe:
    """Which tensors of a manifest a file holds, and which prefix their names lose."""

    folder: str
    manifest: str
    prefix: str = ""


RECIPES: Final = {
    "parity_sd15.safetensors": Recipe("checkpoints", "sd15"),
    "parity_sd15_vae.safetensors": Recipe("vae", "sd15", "first_stage_model."),
    "parity_clip_l.safetensors": Recipe("text_encoders", "sd15", "cond_stage_model.transformer."),
    "parity_sd15_unet.safetensors": Recipe("diffusion_models", "sd15", "model.diffusion_model."),
    "parity_sd15_controlnet.safetensors": Recipe("controlnet", "sd15_controlnet"),
    "parity_emb.safetensors": Recipe("embeddings", "sd15_embedding"),
    "parity_sd15_lora_kohya.safetensors": Recipe("loras", "sd15_lora_kohya"),
    "parity_sd15_lora_peft.safetensors": Recipe("loras", "sd15_lora_peft"),
    "parity_sd15_lora_diffusers_old.safetensors": Recipe("loras", "sd15_lora_diffusers_old"),
    "parity_sd15_lycoris.safetensors": Recipe("loras", "sd15_lycoris"),
    "parity_sd3_tiny.safetensors": Recipe("checkpoints", "sd3_tiny"),
    "parity_sd3_clip_l.safetensors": Recipe(
        "text_encoders", "sd3_tiny", "text_encoders.clip_l.transformer."
    ),
    "parity_clip_g.safetensors": Recipe("text_encoders", "clip_g"),
    "parity_ae_16ch.safetensors": Recipe("vae", "ae_16ch"),
    "parity_flux_tiny.safetensors": Recipe("diffusion_models", "flux_tiny"),
}


def checkpoint(name: str, cache: Path) -> Path:
    """The file of that name below `cache`, made if it is missing. Raises if its digest is wrong."""
    recipe = RECIPES[name]
    path = cache / recipe.folder / name
    proof = path.with_suffix(".sha256")
    wanted = _digests()[f"{recipe.folder}/{name}"]
    if not path.exists() or not proof.exists() or proof.read_text() != wanted:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In a process of its own, so that its memory is free again when the model is loaded.
        command = [sys.executable, "-m", "tests.parity.checkpoints", recipe.manifest]
        subprocess.run([*command, str(path), recipe.prefix], check=True, cwd=_repository())
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        assert found == wanted, f"{name} has digest {found}, expected {wanted}"
        proof.write_text(wanted)
    return path


def cache_folder(default: Path) -> Path:
    """Where made files are kept."""
    return Path(os.environ.get("DARKROOM_TEST_CACHE", default))


def _repository() -> Path:
    return Path(__file__).resolve().parents[2]


def _digests() -> dict[str, str]:
    lines = (REFERENCE / "checkpoints.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _normal(key: str, seed: int, count: int) -> NDArray[np.float32]:
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    bits = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    return np.random.Generator(bits).standard_normal(count, dtype=np.float32)


def _values(key: str, shape: list[int], kind: str, gain: float, seed: int) -> NDArray[Any]:
    """One tensor; kinds are those of the manifests' README."""
    count = math.prod(shape)
    if kind == "arange":
        return np.arange(count, dtype=np.int64).reshape(shape)
    if kind == "const":
        return np.full(shape, gain, dtype=np.float16)
    values = _normal(key, seed, count)
    if kind == "fan_in":
        values *= np.float32(gain / math.sqrt(max(1, math.prod(shape[1:]))))
    elif kind == "normal":
        values *= np.float32(gain)
    elif kind == "norm":
        values = np.float32(gain) * (1 + np.float32(0.1) * values)
    else:
        assert kind == "bias", kind
        values *= np.float32(0.05 * gain)
    return values.reshape(shape).astype(np.float16)


def _default_kind(key: str, shape: list[int]) -> str:
    if len(shape) >= 2:
        return "fan_in"
    return "norm" if key.endswith((".weight", ".scale")) else "bias"


def _tensor(manifest: dict[str, Any], key: str, entry: list[Any]) -> NDArray[Any]:
    if len(entry) > 1 and isinstance(entry[0], list):
        gain = entry[2] if len(entry) > 2 else 1.0
        return _values(key, entry[0], entry[1], gain, manifest["seed"])
    for pattern, gain, *kind in manifest["gains"]:
        if re.search(pattern, key) and (kind or len(entry) >= 2):
            chosen = kind[0] if kind else _default_kind(key, entry)
            return _values(key, entry, chosen, gain, manifest["seed"])
    return _values(key, entry, _default_kind(key, entry), 1.0, manifest["seed"])


def make(manifest_name: str, path: Path, prefix: str) -> None:
    """Write one file."""
    manifest = json.loads((REFERENCE / "manifests" / f"{manifest_name}.json").read_text())
    tensors = {
        key.removeprefix(prefix): _tensor(manifest, key, entry)
        for key, entry in manifest["tensors"].items()
        if key.startswith(prefix)
    }
    partial = path.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, partial, metadata=manifest.get("metadata"))
    partial.replace(path)


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "")
