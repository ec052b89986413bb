"""Reading, writing and renaming of state dicts, for `comfy.utils`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from models.weights import SAFETENSORS_SUFFIXES, open_weights, read_document

_HEADER_LIMIT = 100 * 1024 * 1024


def load(path: Path, device: torch.device | None) -> tuple[dict[str, Any], dict[str, str] | None]:
    """The content of a model file, and the metadata of a safetensors file.

    Pickles may hold nothing but tensors and plain containers. Raises FileNotFoundError, or a
    models.errors.ModelFileError.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file '{path}'")
    if path.suffix.lower() in SAFETENSORS_SUFFIXES:
        weights = open_weights(path)
        return _on(weights.tensors, device), weights.metadata or None
    return _on(_state_dict(read_document(path)), device), None


def _state_dict(document: Mapping[str, Any]) -> dict[str, Any]:
    """Trainers put the state dict under a key, alone or beside notes."""
    inner = document.get("state_dict")
    if inner is None and len(document) == 1:
        inner = next(iter(document.values()))
    return dict(inner if isinstance(inner, Mapping) else document)


def _on(values: dict[str, Any], device: torch.device | None) -> dict[str, Any]:
    if device is None or device.type == "cpu":
        return values
    return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()}


def save(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None) -> None:
    """Write a safetensors file, under another name first: nobody sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        content = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(content, temporary, dict(metadata) if metadata else None)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def header(path: Path, limit: int = _HEADER_LIMIT) -> bytes | None:
    """The JSON header of a safetensors file; None if it is longer than `limit`."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return file.read(length) if length <= limit else None


def parameters(state_dict: Mapping[str, Tensor], prefix: str = "") -> int:
    """How many numbers the tensors below a prefix hold."""
    return sum(w.nelement() for name, w in state_dict.items() if name.startswith(prefix))


def dtype(state_dict: Mapping[str, Tensor], prefix: str = "") -> torch.dtype | None:
    """The type that most numbers below a prefix have."""
    count: Counter[torch.dtype] = Counter()
    for name, weight in state_dict.items():
        if name.startswith(prefix):
            count[weight.dtype] += weight.numel()
    return count.most_common(1)[0][0] if count else None


def replace_keys(
    state_dict: MutableMapping[str, Any], names: Mapping[str, str]
) -> MutableMapping[str, Any]:
    """Rename in place."""
    for old, new in names.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    return state_dict


def replace_prefixes(
    state_dict: MutableMapping[str, Any], prefixes: Mapping[str, str], only_these: bool
) -> MutableMapping[str, Any]:
    """Rename in place, or move those with a prefix into a dict of their own."""
    target = {} if only_these else state_dict
    for old, new in prefixes.items():
        for name in [name for name in state_dict if name.startswith(old)]:
            target[new + name[len(old) :]] = state_dict.pop(name)
    return target


# open_clip's names in a block of a text encoder, and transformers'.
_CLIP_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}


def clip_from_open_clip(
    state_dict: MutableMapping[str, Any], old: str, new: str, layers: int
) -> MutableMapping[str, Any]:
    """Rename open_clip's tensors to transformers' in place; the joint q, k, v is taken apart."""
    renamed = {
        f"{old}positional_embedding": f"{new}embeddings.position_embedding.weight",
        f"{old}token_embedding.weight": f"{new}embeddings.token_embedding.weight",
    }
    for end in ("weight", "bias"):
        renamed[f"{old}ln_final.{end}"] = f"{new}final_layer_norm.{end}"
        for layer in range(layers):
            source = f"{old}transformer.resblocks.{layer}."
            target = f"{new}encoder.layers.{layer}."
            for there, here in _CLIP_BLOCK.items():
                renamed[f"{source}{there}.{end}"] = f"{target}{here}.{end}"
            joint = state_dict.pop(f"{source}attn.in_proj_{end}", None)
            if joint is not None:
                for name, part in zip(("q", "k", "v"), joint.chunk(3), strict=True):
                    state_dict[f"{target}self_attn.{name}_proj.{end}"] = part
    return replace_keys(state_dict, renamed)


_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_BASIC = {  # diffusers -> latent diffusion, outside of blocks
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_NORM_AND_PROJECTION = ("norm", "proj_in", "proj_out")
_TRANSFORMER_BLOCK = (
    *(f"norm{n}" for n in (1, 2, 3)),
    *(f"attn{n}.to_{part}" for n in (1, 2) for part in ("k", "v", "out.0")),
    "ff.net.0.proj",
    "ff.net.2",
)


def unet_names(config: Mapping[str, Any]) -> dict[str, str]:
    """diffusers' names of a UNet's weights -> latent diffusion's.

    `config` is one of the latter: it has num_res_blocks, channel_mult, transformer_depth (per block
    on the way down), transformer_depth_output (on the way up), transformer_depth_middle. Without
    num_res_blocks there are no names.
    """
    if "num_res_blocks" not in config:
        return {}
    levels = len(config["channel_mult"])
    blocks = config["num_res_blocks"]
    blocks = [blocks] * levels if isinstance(blocks, int) else list(blocks)
    names = {
        f"{new}.{end}": f"{old}.{end}" for new, old in _BASIC.items() for end in ("weight", "bias")
    }
    down, up = list(config["transformer_depth"]), list(config["transformer_depth_output"])
    for level in range(levels):
        number = 1 + sum(count + 1 for count in blocks[:level])
        for index in range(blocks[level]):
            block = f"input_blocks.{number + index}"
            names.update(_resnet(f"down_blocks.{level}.resnets.{index}", f"{block}.0"))
            depth = down.pop(0)
            names.update(
                _transformer(f"down_blocks.{level}.attentions.{index}", f"{block}.1", depth)
            )
        for end in ("weight", "bias"):
            names[f"down_blocks.{level}.downsamplers.0.conv.{end}"] = (
                f"input_blocks.{number + blocks[level]}.0.op.{end}"
            )
    names.update(_resnet("mid_block.resnets.0", "middle_block.0"))
    names.update(
        _transformer("mid_block.attentions.0", "middle_block.1", config["transformer_depth_middle"])
    )
    names.update(_resnet("mid_block.resnets.1", "middle_block.2"))
    number = 0
    for level, count in enumerate(reversed(blocks)):
        for index in range(count + 1):
            block = f"output_blocks.{number}"
            names.update(_resnet(f"up_blocks.{level}.resnets.{index}", f"{block}.0"))
            depth = up.pop()
            names.update(_transformer(f"up_blocks.{level}.attentions.{index}", f"{block}.1", depth))
            if index == count:  # it follows what the block has besides
                place = 2 if depth > 0 else 1
                for end in ("weight", "bias"):
                    names[f"up_blocks.{level}.upsamplers.0.conv.{end}"] = (
                        f"{block}.{place}.conv.{end}"
                    )
            number += 1
    return names


def _resnet(new: str, old: str) -> Iterator[tuple[str, str]]:
    for there, here in _RESNET.items():
        for end in ("weight", "bias"):
            yield f"{new}.{here}.{end}", f"{old}.{there}.{end}"


def _transformer(new: str, old: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth <= 0:
        return
    for part in _NORM_AND_PROJECTION:
        for end in ("weight", "bias"):
            yield f"{new}.{part}.{end}", f"{old}.{part}.{end}"
    for number in range(depth):
        block = f"transformer_blocks.{number}"
        for part in _TRANSFORMER_BLOCK:
            for end in ("weight", "bias"):
                yield f"{new}.{block}.{part}.{end}", f"{old}.{block}.{part}.{end}"
        for attention in (1, 2):
            query = f"{block}.attn{attention}.to_q.weight"
            yield f"{new}.{query}", f"{old}.{query}"
