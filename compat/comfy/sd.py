"""Loaders of models, and the classes of what they give."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from comfy.not_yet import NotYetSupported, absent
from darkroom_compat.models import folders_of, policy
from torch import Tensor

from models.audio.vae import AudioVaeHandle
from models.film.vae import FilmVaeHandle
from models.gligen import Gligen
from models.gligen import load_gligen as _load_gligen
from models.handle import ModelHandle
from models.load import checkpoint_of, load_checkpoint, unet_of, vae_of
from models.lora import Lora, apply_lora, group_tensors
from models.stored.scales import with_scales
from models.style import StyleModel as StyleModel
from models.style import load_style_model as _load_style_model
from models.text.files import KINDS, text_of_type
from models.text.handle import TextHandle
from models.vae import VaeHandle
from models.weights import Weights, open_weights

CLIP = TextHandle


class CLIPType(Enum):
    """What a text encoder is for."""

    STABLE_DIFFUSION = 1
    STABLE_CASCADE = 2
    SD3 = 3
    STABLE_AUDIO = 4
    HUNYUAN_DIT = 5
    FLUX = 6
    MOCHI = 7
    LTXV = 8
    HUNYUAN_VIDEO = 9
    PIXART = 10
    COSMOS = 11
    LUMINA2 = 12
    WAN = 13
    HIDREAM = 14
    CHROMA = 15
    ACE = 16
    OMNIGEN2 = 17
    QWEN_IMAGE = 18
    HUNYUAN_IMAGE = 19
    HUNYUAN_VIDEO_15 = 20
    OVIS = 21
    KANDINSKY5 = 22
    KANDINSKY5_IMAGE = 23
    NEWBIE = 24
    FLUX2 = 25


class _VaeType(type):
    """Every VAE of ours is an instance of the class VAE, whoever loaded it."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if cls is VAE:
            return isinstance(instance, VaeHandle | AudioVaeHandle)
        return super().__instancecheck__(instance)


class VAE(VaeHandle, metaclass=_VaeType):
    """A VAE from the tensors of a file."""

    def __init__(
        self,
        sd: Mapping[str, Tensor] | None = None,
        device: Any = None,
        config: Any = None,
        dtype: torch.dtype | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if sd is None or config is not None:
            raise NotYetSupported("comfy.sd.VAE", "it is made from a state dict without a config")
        loaded = vae_of(_in_memory(sd, metadata), policy())
        if isinstance(loaded, FilmVaeHandle | AudioVaeHandle):
            raise NotYetSupported(
                "comfy.sd.VAE", "VAEs of films and of sounds are loaded by VAELoader"
            )
        object.__setattr__(self, "network", loaded.network)
        object.__setattr__(self, "policy", loaded.policy)


def _in_memory(sd: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Weights:
    path = Path("<state dict>")
    return Weights(path=path, tensors=with_scales(path, sd), metadata=dict(metadata or {}))


def load_checkpoint_guess_config(
    ckpt_path: str,
    output_vae: bool = True,
    output_clip: bool = True,
    output_clipvision: bool = False,
    embedding_directory: Any = None,
    output_model: bool = True,
    model_options: dict[str, Any] | None = None,
    te_model_options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> tuple[ModelHandle | None, TextHandle | None, VaeHandle | AudioVaeHandle | None, None]:
    """(model, clip, vae, clip vision) of a checkpoint."""
    if output_clipvision:
        raise NotYetSupported("comfy.sd.load_checkpoint_guess_config", "clip vision")
    loaded = load_checkpoint(Path(ckpt_path), policy(), folders_of(embedding_directory))
    return (
        loaded.model if output_model else None,
        loaded.text if output_clip else None,
        loaded.vae if output_vae else None,
        None,
    )


def load_state_dict_guess_config(
    sd: Mapping[str, Tensor],
    output_vae: bool = True,
    output_clip: bool = True,
    output_clipvision: bool = False,
    embedding_directory: Any = None,
    output_model: bool = True,
    model_options: dict[str, Any] | None = None,
    te_model_options: dict[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    **kwargs: Any,
) -> tuple[ModelHandle | None, TextHandle | None, VaeHandle | AudioVaeHandle | None, None]:
    """(model, clip, vae, clip vision) of a checkpoint's tensors."""
    loaded = checkpoint_of(_in_memory(sd, metadata), policy(), folders_of(embedding_directory))
    return (
        loaded.model if output_model else None,
        loaded.text if output_clip else None,
        loaded.vae if output_vae else None,
        None,
    )


def load_diffusion_model(
    unet_path: str, model_options: dict[str, Any] | None = None, **kwargs: Any
) -> ModelHandle:
    """The diffusion model of a file."""
    return unet_of(open_weights(Path(unet_path)), policy())


def load_unet(unet_path: str, dtype: torch.dtype | None = None) -> ModelHandle:
    """The diffusion model of a file."""
    return load_diffusion_model(unet_path)


def load_diffusion_model_state_dict(
    sd: Mapping[str, Tensor],
    model_options: dict[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    **kwargs: Any,
) -> ModelHandle:
    """The diffusion model of a file's tensors."""
    return unet_of(_in_memory(sd, metadata), policy())


def load_unet_state_dict(sd: Mapping[str, Tensor], dtype: Any = None) -> ModelHandle:
    """The diffusion model of a file's tensors."""
    return load_diffusion_model_state_dict(sd)


def load_clip(
    ckpt_paths: list[str],
    embedding_directory: Any = None,
    clip_type: CLIPType = CLIPType.STABLE_DIFFUSION,
    model_options: dict[str, Any] | None = None,
) -> TextHandle:
    """The text encoders of files."""
    files = [open_weights(Path(path)) for path in ckpt_paths]
    return _text_of(files, embedding_directory, clip_type)


def load_text_encoder_state_dicts(
    state_dicts: list[Mapping[str, Tensor]],
    embedding_directory: Any = None,
    clip_type: CLIPType = CLIPType.STABLE_DIFFUSION,
    model_options: dict[str, Any] | None = None,
) -> TextHandle:
    """The text encoders of files' tensors."""
    files = [_in_memory(tensors) for tensors in state_dicts]
    return _text_of(files, embedding_directory, clip_type)


def _text_of(files: list[Weights], embedding_directory: Any, clip_type: CLIPType) -> TextHandle:
    kind = clip_type.name.lower()
    if kind not in KINDS:
        raise NotYetSupported("comfy.sd.load_clip", f"text encoders of {clip_type.name}")
    return text_of_type(kind, files, policy(), folders_of(embedding_directory))


def load_lora_for_models(
    model: ModelHandle | None,
    clip: TextHandle | None,
    lora: Mapping[str, Tensor],
    strength_model: float,
    strength_clip: float,
) -> tuple[Any, Any]:
    """Clones with a LoRA in their weights, from the tensors of its file."""
    from comfy.lora import load_lora, model_lora_keys_clip, model_lora_keys_unet

    if isinstance(model, ModelHandle):
        found = Lora(path=Path("<state dict>"), groups=group_tensors(lora))
        return apply_lora(
            found, model, clip, strength_model=strength_model, strength_text=strength_clip
        )
    keys: dict[str, str] = {}
    if model is not None:
        keys = model_lora_keys_unet(model.model, keys)
    if clip is not None:
        keys = model_lora_keys_clip(clip.cond_stage_model, keys)
    patches = load_lora(lora, keys)
    made: list[Any] = []
    for part, strength in ((model, strength_model), (clip, strength_clip)):
        clone = None if part is None else part.clone()
        if clone is not None and not clone.add_patches(patches, strength):
            logging.getLogger(__name__).info("a LoRA changes nothing in %s", type(clone).__name__)
        made.append(clone)
    return made[0], made[1]


def load_bypass_lora_for_models(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """As `load_lora_for_models`."""
    return load_lora_for_models(*args, **kwargs)


def load_gligen(ckpt_path: str) -> Gligen:
    """The GLIGEN layers of a file."""
    return _load_gligen(Path(ckpt_path), policy())


def load_style_model(ckpt_path: str) -> StyleModel:
    """The style model of a file."""
    return _load_style_model(Path(ckpt_path))


__getattr__ = absent(
    __name__,
    classes="TEModel",
    functions=(
        "load_checkpoint save_checkpoint load_model_weights "
        "load_clip_weights detect_te_model model_detection_error_hint t5xxl_detect llama_detect"
    ),
)
