"""Handles of text encoders, made of the weights of a checkpoint or of files of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from models.families.clip_text import build_clip_text
from models.families.t5_text import build_t5_text
from models.memory import Policy
from models.stored.holding import Storage
from models.text.clip import ClipEncoder
from models.text.encoder import TextEncoder
from models.text.families import (
    ACTS,
    CHROMA,
    FLUX,
    FORMATS,
    SD1,
    SD2,
    SD3,
    SDXL,
    SDXL_REFINER,
    WAN,
    Combination,
    Use,
)
from models.text.handle import TextHandle
from models.text.language.families import QWEN_IMAGE, QWEN_IMAGE21, Z_IMAGE
from models.text.language.loading import language_encoder
from models.text.t5 import MaskedT5Encoder, T5Encoder, Umt5Encoder
from models.text.t5_vocabulary import HUB, PLACES, UMT5_HUB, UMT5_PLACES, T5Vocabulary
from models.text.tokenizer import PromptTokenizer
from models.weights import Weights

_LAYERS_OF_H: Final = 24
# Encoders of T5's kind, and where their vocabularies are.
_T5: Final[Mapping[str, tuple[type[T5Encoder], Sequence[str], tuple[str, str]]]] = {
    "t5xxl": (T5Encoder, PLACES, HUB),
    "umt5xxl": (Umt5Encoder, UMT5_PLACES, UMT5_HUB),
}


@dataclass(frozen=True, kw_only=True)
class TextFolders:
    """Where files that prompts and tokenizers need are looked for."""

    embeddings: tuple[Path, ...] = ()  # of `embedding:name` in prompts
    tokenizers: tuple[Path, ...] = ()  # vocabularies that come with no checkpoint
    asks_hub: bool = True  # whether the model hub may be asked for those


@dataclass(frozen=True, kw_only=True)
class EncoderFile:
    """The weights of one encoder, without the prefix of its part."""

    weights: Weights
    part: str = "text_encoder"  # what the file's metadata calls it (Weights.config)
    vocabulary: Tensor | None = None  # bytes of a SentencePiece model


def text_of_checkpoint(
    combination: Combination, weights: Weights, policy: Policy, folders: TextFolders
) -> TextHandle | None:
    """The text encoders of a checkpoint; None if it holds none of the family's."""
    files = {}
    for number, (key, use) in enumerate(combination.uses.items(), start=1):
        found = weights.below(*use.prefixes)
        if found.tensors:
            part = "text_encoder" if number == 1 else f"text_encoder_{number}"
            files[key] = EncoderFile(weights=found, part=part, vocabulary=vocabulary_of(weights))
    return text_of_files(combination, files, policy, folders)


def text_of_files(
    combination: Combination, files: Mapping[str, EncoderFile], policy: Policy, folders: TextFolders
) -> TextHandle | None:
    """The handle of encoders' weights, by encoder; None if there are none."""
    encoders: dict[str, TextEncoder] = {}
    for number, (key, use) in enumerate(combination.uses.items(), start=1):
        if key not in files:
            continue
        encoder = _maker(key, use)(key, use, number, files[key], policy, folders)
        if encoder is not None:
            encoders[key] = encoder
    if not encoders:
        return None
    return TextHandle(combination=combination, encoders=encoders, policy=policy)


def _maker(key: str, use: Use) -> Callable[..., TextEncoder | None]:
    if use.prompting is not None:
        return _language_encoder
    return _t5_encoder if key in _T5 else _clip_encoder


def vocabulary_of(weights: Weights) -> Tensor | None:
    """The SentencePiece model that some files carry for T5."""
    prefixes = ("", *(f"{start}{key}." for key in _T5 for start in ("text_encoders.", "")))
    names = (f"{prefix}spiece_model" for prefix in prefixes)
    return next((weights.tensors[name] for name in names if name in weights.tensors), None)


def _clip_encoder(
    key: str, use: Use, number: int, file: EncoderFile, policy: Policy, folders: TextFolders
) -> TextEncoder | None:
    dtype, storage = policy.text_dtype, storage_of(policy)
    network = policy.library.fetch(
        ("text encoder", key, file.part, dtype, storage),
        (file.weights.path,),
        lambda: build_clip_text(file.weights, dtype, storage, part=file.part, hidden_act=ACTS[key]),
    )
    if network is None:
        return None
    layers = network.module.config.num_hidden_layers
    return ClipEncoder(
        number=number,
        network=network,
        tokenizer=PromptTokenizer(
            encoder=f"clip_{key}",
            chunk_format=FORMATS[key],
            embedding_folders=folders.embeddings,
        ),
        layer=use.layer,
        # diffusers leaves out the last layer of SD 2's encoder, which is not used.
        left_out=int(key == "h" and layers == _LAYERS_OF_H - 1),
        is_normalised=use.is_normalised,
        is_projected=use.is_projected,
    )


def _t5_encoder(
    key: str, use: Use, number: int, file: EncoderFile, policy: Policy, folders: TextFolders
) -> TextEncoder | None:
    # Its activations overflow float16.
    dtype = torch.bfloat16 if policy.text_dtype == torch.float16 else policy.text_dtype
    storage = storage_of(policy)
    network = policy.library.fetch(
        ("text encoder", key, dtype, storage),
        (file.weights.path,),
        lambda: build_t5_text(file.weights, dtype, storage),
    )
    if network is None:
        return None
    kind, places, hub = _T5[key]
    if use.hides_pads:
        kind = MaskedT5Encoder
    vocabulary = T5Vocabulary(
        folders.tokenizers,
        model=file.vocabulary,
        asks_hub=folders.asks_hub,
        places=places,
        hub=hub,
    )
    return kind(
        number=number,
        network=network,
        tokenizer=PromptTokenizer(
            encoder=key,
            chunk_format=replace(FORMATS[key], minimum=use.minimum, padding=use.padding),
            ids=vocabulary,
            embedding_folders=folders.embeddings,
        ),
    )


def _language_encoder(
    key: str, use: Use, number: int, file: EncoderFile, policy: Policy, folders: TextFolders
) -> TextEncoder | None:
    assert use.prompting is not None
    return language_encoder(
        key,
        number,
        file.weights,
        use.prompting,
        policy,
        storage_of(policy),
        folders.tokenizers,
    )


def storage_of(policy: Policy) -> Storage:
    """How the weights of text encoders are kept.

    Where the CPU computes in float32, half precision is kept as it is and decoded layer by layer:
    it runs once a prompt. LoRA is then rounded to that type, as the reference has it.
    """
    on_cpu = policy.text_dtype == torch.float32 and policy.text_device.type == "cpu"
    return Storage(keep_halves=on_cpu, narrow_to=policy.text_storage)


# What families call to build their text encoders (models.families.family).
sd1_text = partial(text_of_checkpoint, SD1)
sd2_text = partial(text_of_checkpoint, SD2)
sdxl_text = partial(text_of_checkpoint, SDXL)
sdxl_refiner_text = partial(text_of_checkpoint, SDXL_REFINER)
sd3_text = partial(text_of_checkpoint, SD3)
flux_text = partial(text_of_checkpoint, FLUX)
chroma_text = partial(text_of_checkpoint, CHROMA)
wan_text = partial(text_of_checkpoint, WAN)
qwen_image_text = partial(text_of_checkpoint, QWEN_IMAGE)
qwen_image21_text = partial(text_of_checkpoint, QWEN_IMAGE21)
z_image_text = partial(text_of_checkpoint, Z_IMAGE)
