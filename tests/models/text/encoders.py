"""Tiny text encoders with random weights, as their authors' libraries make them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.memory import Policy
from models.text.combinations import EncoderFile, TextFolders, text_of_files
from models.text.families import Combination
from models.text.handle import TextHandle
from models.text.vocabulary import clip_tokenizer
from models.weights import Weights

T5_TOKENIZER: Final = Path(__file__).parents[2] / "reference" / "parity" / "t5_tokenizer.json"
VOCABULARY: Final = 49408


def randomised(module: nn.Module, seed: int) -> Any:
    """The module with weights large enough that every one of them counts."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        is_norm = "norm" in name or ".ln_" in name or name.startswith("ln_")
        if parameter.ndim > 1:
            values /= parameter.shape[-1] ** 0.5
        else:
            values = 0.2 * values + float(is_norm and name.endswith("weight"))
        parameter.data.copy_(values)
    return module.eval().requires_grad_(False)


def clip(
    width: int = 64,
    layers: int = 3,
    act: str = "quick_gelu",
    projected: int | None = 32,
    seed: int = 1,
) -> Any:
    """A CLIP text encoder of transformers, with a projection if that has a width."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        hidden_act=act,
        projection_dim=projected or width,
        bos_token_id=VOCABULARY - 2,
        eos_token_id=VOCABULARY - 1,
    )
    kind = CLIPTextModel if projected is None else CLIPTextModelWithProjection
    return randomised(kind(config), seed)


def open_clip(width: int = 128, layers: int = 3, projected: int = 32, seed: int = 2) -> Any:
    """A text encoder of open_clip."""
    from open_clip.transformer import TextTransformer

    made = TextTransformer(
        vocab_size=VOCABULARY,
        width=width,
        heads=width // 64,
        layers=layers,
        mlp_ratio=2.0,
        output_dim=projected,
    )
    return randomised(made, seed)


def t5(width: int = 256, layers: int = 2, seed: int = 3) -> Any:
    """A T5 v1.1 encoder of transformers."""
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=32128,
        d_model=width,
        d_kv=16,
        d_ff=2 * width,
        num_layers=layers,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    return randomised(T5EncoderModel(config), seed)


def umt5(width: int = 48, layers: int = 2, seed: int = 4) -> Any:
    """A UMT5 encoder of transformers, with T5's vocabulary."""
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(
        vocab_size=32128,
        d_model=width,
        d_kv=16,
        d_ff=2 * width,
        num_layers=layers,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    return randomised(UMT5EncoderModel(config), seed)


def weights_of(*modules: Any, **prefixed: Any) -> Weights:
    """The weights of a module, or of several below prefixes, as those of an opened file."""
    parts = {"": modules[0]} if modules else {k.replace("__", "."): v for k, v in prefixed.items()}
    return Weights(path=Path("tiny.safetensors"), tensors=tensors_of(parts))


def tensors_of(parts: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of modules below prefixes."""
    return {
        prefix + name: tensor.contiguous()
        for prefix, module in parts.items()
        for name, tensor in module.state_dict().items()
    }


def handle(
    combination: Combination, policy: Policy, folders: TextFolders | None = None, **modules: Any
) -> TextHandle:
    """The handle of modules, by encoder."""
    files = {key: EncoderFile(weights=weights_of(module)) for key, module in modules.items()}
    made = text_of_files(combination, files, policy, folders or TextFolders())
    assert made is not None
    return made


def with_t5_tokenizer(folder: Path, name: str = "t5xxl") -> TextFolders:
    """Folders in which the T5 tokenizer lies."""
    place = folder / "tokenizers" / name
    place.mkdir(parents=True)
    (place / "tokenizer.json").symlink_to(T5_TOKENIZER)
    return TextFolders(tokenizers=(folder / "tokenizers",))


def with_embeddings(folders: TextFolders, folder: Path) -> TextFolders:
    """Folders with one of embeddings."""
    return replace(folders, embeddings=(folder,))


def clip_tokenizer_with(pad: str) -> Any:
    """The CLIP tokenizer of transformers, padding as an encoder wants it."""
    tokenizer = copy.deepcopy(clip_tokenizer())
    tokenizer.pad_token = pad
    tokenizer.model_max_length = 77
    return tokenizer


def t5_tokenizer() -> Any:
    """The T5 tokenizer of transformers."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_file=str(T5_TOKENIZER), pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
