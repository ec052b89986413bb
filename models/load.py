"""Loads model files into handles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
import yaml
from torch import Tensor

from models.audio.load import audio_vae_of
from models.audio.vae import AudioVaeHandle
from models.errors import CheckpointUnreadable, PartMissing, UnknownModelFamily
from models.families import families
from models.families.diffusers_names import PARTS, join_parts, with_original_names
from models.families.family import Family
from models.families.ldm_vae import build_vae
from models.film.load import film_vae_of
from models.gguf_file import ARCHITECTURE
from models.handle import ModelHandle
from models.memory import Policy
from models.network import Network, Storage
from models.previews import LatentColours
from models.text.combinations import TextFolders
from models.text.files import text_of_type
from models.text.handle import TextHandle
from models.text.ltx2 import ltx2_text
from models.vae import VaeHandle
from models.weights import CONFIG_KEY, Weights, open_weights

_NO_FOLDERS: Final = TextFolders()
_ADVICE: Final = "Use the file that the checkpoint was published with."

# Files of a pipeline's folder -> what they say that shapes cannot, by our words (Weights.config).
CONFIGURED: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "unet/config.json": (
        "unet",
        # diffusers' name for what is a number of heads here (its issue 2011)
        {"norm_num_groups": "norm_num_groups", "num_attention_heads": "attention_head_dim"},
    ),
    "transformer/config.json": ("unet", {"num_attention_heads": "num_attention_heads"}),
    "scheduler/scheduler_config.json": (
        "unet",
        {"prediction_type": "prediction_type", "zero_snr": "rescale_betas_zero_snr"},
    ),
    "vae/config.json": (
        "vae",
        {name: name for name in ("norm_num_groups", "latents_mean", "latents_std")},
    ),
    **{
        f"{part}/config.json": (
            part,
            {name: name for name in ("num_attention_heads", "hidden_act")},
        )
        for part in ("text_encoder", "text_encoder_2")
    },
}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The parts of a checkpoint; files without a text encoder or a VAE exist."""

    model: ModelHandle
    text: TextHandle | None
    vae: VaeHandle | AudioVaeHandle | None

    def clone(self) -> Checkpoint:
        """Handles on the same weights."""
        text = None if self.text is None else self.text.clone()
        return replace(self, model=self.model.clone(), text=text)


def recognise(weights: Weights) -> Family:
    """The family of a file; raises UnknownModelFamily."""
    for family in families():
        if family.recognise(weights):
            return family
    example = next(iter(weights.tensors), "none at all")
    known = [family.name for family in families()]
    raise UnknownModelFamily(weights.path, known, example, weights.metadata.get(ARCHITECTURE))


def load_checkpoint(path: Path, policy: Policy, folders: TextFolders = _NO_FOLDERS) -> Checkpoint:
    """All parts of a single-file checkpoint. `folders` serve its text encoders.

    Raises ModelFileError (see models.errors) for a file that cannot be used.
    """
    loaded = policy.library.fetch(
        ("checkpoint", policy, folders),
        (path,),
        lambda: checkpoint_of(open_weights(path), policy, folders),
    )
    return loaded.clone()


def checkpoint_of(
    weights: Weights, policy: Policy, folders: TextFolders = _NO_FOLDERS
) -> Checkpoint:
    """All parts of an opened checkpoint, in the layout of its authors or of diffusers."""
    weights = with_original_names(weights)
    family = recognise(weights)
    network = _denoiser(weights, family, policy)
    text = family.build_text(weights, policy, folders)
    vae = family.build_vae(weights, policy.vae_dtype)
    seen = VaeHandle(network=vae, policy=policy) if vae else film_vae_of(weights, policy)
    model = _model_handle(network, weights, family, policy, seen)
    return Checkpoint(model=model, text=text, vae=seen or audio_vae_of(weights, policy))


def load_configured_checkpoint(
    path: Path, config: Path, policy: Policy, folders: TextFolders = _NO_FOLDERS
) -> Checkpoint:
    """A checkpoint with the YAML configuration of its training.

    Read of it is what shapes cannot tell: the parametrisation, and the layer of the text encoder.
    """
    loaded = policy.library.fetch(
        ("configured checkpoint", policy, folders),
        (path, config),
        lambda: _configured(path, config, policy, folders),
    )
    return loaded.clone()


def _configured(path: Path, config: Path, policy: Policy, folders: TextFolders) -> Checkpoint:
    try:
        document = yaml.safe_load(config.read_text(encoding="utf-8"))
        params = document["model"]["params"]
        stage = (params.get("cond_stage_config") or {}).get("params") or {}
        is_velocity = params.get("parameterization") == "v"
        skips = stage.get("layer") == "penultimate"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise CheckpointUnreadable(config, "it is no configuration of a model", _ADVICE) from error
    weights = open_weights(path)
    if is_velocity:
        said = {"unet": weights.config("unet") | {"prediction_type": "v_prediction"}}
        parts = {part for part, _ in CONFIGURED.values()} - said.keys()
        kept = {part: weights.config(part) for part in parts}
        metadata = weights.metadata | {CONFIG_KEY: json.dumps(said | kept)}
        weights = replace(weights, metadata=metadata)
    loaded = checkpoint_of(weights, policy, folders)
    if skips and loaded.text is not None:
        return replace(loaded, text=loaded.text.with_layer(-2))
    return loaded


def load_diffusers_folder(
    folder: Path, policy: Policy, folders: TextFolders = _NO_FOLDERS
) -> Checkpoint:
    """All parts of a pipeline that diffusers has saved: a folder with one folder a part."""
    files = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    loaded = policy.library.fetch(
        ("pipeline", policy, folders), files, lambda: _pipeline(folder, policy, folders)
    )
    return loaded.clone()


def _pipeline(folder: Path, policy: Policy, folders: TextFolders) -> Checkpoint:
    parts = {part: _part_of_folder(folder / part) for part in PARTS}
    metadata = _pipeline_metadata(folder)
    joined = Weights(path=folder, tensors=join_parts(parts), metadata=metadata)
    return checkpoint_of(joined, policy, folders)


def _part_of_folder(folder: Path) -> dict[str, Tensor]:
    """The tensors of a part; of several files the one of whole precision is taken."""
    for pattern in ("*.safetensors", "*.bin"):
        found = sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name))
        whole = [path for path in found if "-of-" not in path.name]
        if whole:
            return open_weights(whole[0]).tensors
        if found:  # shards
            return {k: v for path in found for k, v in open_weights(path).tensors.items()}
    return {}


def _pipeline_metadata(folder: Path) -> dict[str, str]:
    """What the pipeline's configuration says that shapes cannot."""
    said: dict[str, dict[str, Any]] = {}
    for name, (part, words) in CONFIGURED.items():
        path = folder / name
        if path.is_file():
            document = _json_table(path)
            found = {ours: document[theirs] for ours, theirs in words.items() if theirs in document}
            said.setdefault(part, {}).update(found)
    return {CONFIG_KEY: json.dumps(said)}


def _json_table(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointUnreadable(path, f"it is no JSON ({error})") from error
    if not isinstance(document, dict):
        raise CheckpointUnreadable(path, "it is no JSON object")
    return document


def load_unet(path: Path, policy: Policy, storage: torch.dtype | None = None) -> ModelHandle:
    """The diffusion model of a file; its weights are kept in `storage` if that is given."""
    loaded = policy.library.fetch(
        ("diffusion model", policy, storage),
        (path,),
        lambda: unet_of(open_weights(path), policy, storage),
    )
    return loaded.clone()


def unet_of(weights: Weights, policy: Policy, storage: torch.dtype | None = None) -> ModelHandle:
    """The diffusion model of an opened file; its weights are kept in `storage` if that is given."""
    weights = with_original_names(weights)
    family = recognise(weights)
    network = _denoiser(weights, family, policy)
    if storage is not None:
        network.keep_as(Storage(narrow_to=storage))
    return _model_handle(network, weights, family, policy, None)


def _denoiser(weights: Weights, family: Family, policy: Policy) -> Network[Any]:
    dtype = policy.denoiser_dtype(weights.main_dtype(), family.computed)
    network = family.build_denoiser(weights, dtype)
    if network is None:
        raise PartMissing(weights.path, "diffusion model")
    if policy.unet_storage is not None:
        network.keep_as(replace(network.storage, narrow_to=policy.unet_storage))
    elif not policy.may_widen(network.size()):
        network.keep_as(replace(network.storage, keep_halves=True))
    return network


def _model_handle(
    network: Network[Any], weights: Weights, family: Family, policy: Policy, vae: VaeHandle | None
) -> ModelHandle:
    latent_format = family.latent_format(weights)
    handle = ModelHandle(
        family=family,
        network=network,
        own_schedule=family.schedule(weights),
        latent_format=latent_format,
        policy=policy,
        colours=None if vae is None else LatentColours(vae, latent_format),
    )
    handle.model.take_from(weights)
    return handle


def load_text(
    kind: str, paths: Sequence[Path], policy: Policy, folders: TextFolders = _NO_FOLDERS
) -> TextHandle:
    """The text encoders of files, in any order, for a kind of model (models.text.files)."""
    loaded = policy.library.fetch(
        ("text encoders", kind, policy, folders),
        tuple(paths),
        lambda: text_of_type(kind, [open_weights(path) for path in paths], policy, folders),
    )
    return loaded.clone()


def load_ltx2_text(
    encoder: Path, checkpoint: Path, policy: Policy, folders: TextFolders = _NO_FOLDERS
) -> TextHandle:
    """The text encoder of LTX-2: Gemma 3 of a file, and the projection of a checkpoint."""

    def build() -> TextHandle:
        made = ltx2_text([open_weights(encoder), open_weights(checkpoint)], policy, folders)
        if made is None:
            raise PartMissing(checkpoint, "text projection of LTX-2", "Use a checkpoint of LTX-2.")
        return made

    key = ("text encoder of LTX-2", policy, folders)
    return policy.library.fetch(key, (encoder, checkpoint), build).clone()


def load_vae(path: Path, policy: Policy) -> VaeHandle | AudioVaeHandle:
    """The VAE of a file that holds only it, or of a checkpoint. Raises ModelFileError."""
    return policy.library.fetch(
        ("VAE", policy), (path,), lambda: vae_of(open_weights(path), policy)
    )


def vae_of(weights: Weights, policy: Policy) -> VaeHandle | AudioVaeHandle:
    """The VAE of an opened file, of films, sounds or pictures."""
    found = film_vae_of(weights, policy) or audio_vae_of(weights, policy)
    if found is not None:
        return found
    network = build_vae(with_original_names(weights), policy.vae_dtype)
    if network is None:
        raise PartMissing(weights.path, "VAE")
    return VaeHandle(network=network, policy=policy)
