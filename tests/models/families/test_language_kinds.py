"""Published sizes of language models are known by their tensors, without any memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.families.language import language_of
from models.families.language.kind import build_text
from models.stored.holding import AS_COMPUTED
from models.weights import Weights

_QWEN = {"vocab_size": 151_936, "head_dim": 128, "rms_norm_eps": 1e-6}
_THETA = {"rope_type": "default", "rope_theta": 1_000_000.0}
_LOCAL = {"rope_type": "default", "rope_theta": 10_000.0}
_GLOBAL = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0}
_GEMMA3 = {
    "vocab_size": 262_208,
    "head_dim": 256,
    "sliding_window": 1024,
    "rope_parameters": {"sliding_attention": _LOCAL, "full_attention": _GLOBAL},
}


def sized(width: int, inner: int, layers: int, heads: int, keys: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
    }


# transformers' class, what was published, and how a file is known.
TEXTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "Qwen3 0.6B": (
        "Qwen3",
        {**_QWEN, "rope_parameters": _THETA, **sized(1024, 3072, 28, 16, 8)},
        "qwen3",
    ),
    "Qwen3 4B": (
        "Qwen3",
        {**_QWEN, "rope_parameters": _THETA, **sized(2560, 9728, 36, 32, 8)},
        "qwen3",
    ),
    "Qwen3 8B": (
        "Qwen3",
        {**_QWEN, "rope_parameters": _THETA, **sized(4096, 12_288, 36, 32, 8)},
        "qwen3",
    ),
    "Gemma 2 2B": (
        "Gemma2",
        {
            "vocab_size": 256_000,
            "head_dim": 256,
            "query_pre_attn_scalar": 256,
            "rope_parameters": _LOCAL,
            **sized(2304, 9216, 26, 8, 4),
        },
        "gemma2",
    ),
    "Gemma 3 4B": ("Gemma3Text", {**_GEMMA3, **sized(2560, 10_240, 34, 8, 4)}, "gemma3"),
    "Gemma 3 12B": ("Gemma3Text", {**_GEMMA3, **sized(3840, 15_360, 48, 16, 8)}, "gemma3"),
    "Gemma 3 27B": (
        "Gemma3Text",
        {**_GEMMA3, "head_dim": 128, "query_pre_attn_scalar": 168}
        | sized(5376, 21_504, 62, 32, 16),
        "gemma3",
    ),
    "Gemma 3 1B": (
        "Gemma3Text",
        _GEMMA3
        | {"vocab_size": 262_144, "sliding_window": 512}
        | {"rope_parameters": {"sliding_attention": _LOCAL, "full_attention": _THETA}}
        | sized(1152, 6912, 26, 4, 1),
        "gemma3",
    ),
    "Mistral Small 3": (
        "Mistral",
        {
            "vocab_size": 131_072,
            "head_dim": 128,
            "rms_norm_eps": 1e-5,
            "sliding_window": None,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000_000.0},
            **sized(5120, 32_768, 40, 32, 8),
        },
        "mistral3",
    ),
}


def on_nothing(name: str, options: dict[str, Any]) -> Any:
    """A text model of transformers without memory."""
    import transformers

    config = getattr(transformers, f"{name}Config")(**options)
    with torch.device("meta"):
        return getattr(transformers, f"{name}Model")(config)


@pytest.mark.parametrize("published", TEXTS)
def test_published_sizes_are_known(published: str) -> None:
    name, options, kind_name = TEXTS[published]
    model = on_nothing(name, options)
    tensors = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    found = language_of(Weights(path=Path("m.safetensors"), tensors=tensors))
    assert found is not None
    kind, layout = found
    assert kind.name == kind_name
    config = kind.config(layout)
    expected = {key: getattr(model.config, key) for key in options}
    assert {key: getattr(config, key) for key in options} == expected
    network = build_text(kind, layout, torch.bfloat16)
    assert network.names() == list(model.state_dict())
    assert not any(buffer.is_meta for buffer in network.module.buffers())


VISIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "Qwen2.5-VL 7B": (
        "Qwen2_5_VL",
        {"vocab_size": 152_064, "rms_norm_eps": 1e-6} | sized(3584, 18_944, 28, 28, 4),
        {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
        | {"out_hidden_size": 3584, "fullatt_block_indexes": [7, 15, 23, 31]},
        "qwen2_5_vl",
    ),
    "Qwen3-VL 4B": (
        "Qwen3VL",
        _QWEN | sized(2560, 9728, 36, 32, 8),
        {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16}
        | {"out_hidden_size": 2560, "deepstack_visual_indexes": [5, 11, 17]},
        "qwen3_vl",
    ),
    "Qwen3-VL 8B": (
        "Qwen3VL",
        _QWEN | sized(4096, 12_288, 36, 32, 8),
        {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16}
        | {"out_hidden_size": 4096, "deepstack_visual_indexes": [8, 16, 24]},
        "qwen3_vl",
    ),
}


@pytest.mark.parametrize("published", VISIONS)
def test_published_eyes_are_known(published: str) -> None:
    import transformers

    name, text, vision, kind_name = VISIONS[published]
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=vision)
    with torch.device("meta"):
        model = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    found = language_of(Weights(path=Path("m"), tensors=dict(model.state_dict())))
    assert found is not None
    kind, layout = found
    assert kind.name == kind_name
    assert layout.head is not None
    text_config = kind.config(layout)
    assert {key: getattr(text_config, key) for key in text} == text
    assert kind.eyes is not None
    network = kind.eyes.build(layout, torch.bfloat16, AS_COMPUTED)
    assert network is not None
    assert {key: getattr(network.module.config, key) for key in vision} == vision
    assert not any(buffer.is_meta for buffer in network.module.buffers())
