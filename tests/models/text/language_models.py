"""Tiny language models with random weights, as transformers makes them, in files of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from models.families.language import qwen2_5_vl as qwen2_5_vl_kind
from models.load import load_text
from models.memory import Policy
from models.text.combinations import TextFolders
from models.text.handle import TextHandle
from models.text.language.encoder import LanguageEncoder
from tests.models.text.encoders import randomised

QWEN_TOKENS: Final = 151_936
GEMMA_TOKENS: Final = 320  # of `gemma_pieces`
RETINA: Final = qwen2_5_vl_kind._RETINA
NOWHERE: Final = TextFolders(asks_hub=False)
_SMALL: Final[dict[str, Any]] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}


def qwen3(seed: int = 1, **changes: Any) -> Any:
    """Qwen3, whose last layer is the table of tokens."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        **{**_SMALL, "vocab_size": QWEN_TOKENS, "head_dim": 32, "tie_word_embeddings": True}
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0}}
        | changes
    )
    return _tied(Qwen3ForCausalLM(config), seed)


def qwen2_5_vl(seed: int = 4, **changes: Any) -> Any:
    """Qwen2.5-VL with a vision model of nine layers, of which one sees everything."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {**_SMALL, "vocab_size": QWEN_TOKENS, "hidden_size": 128, "num_attention_heads": 1}
    text |= {"num_key_value_heads": 1, "rms_norm_eps": 1e-6}
    text["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": 1_000_000.0,
        "mrope_section": [16, 24, 24],
    }
    vision = {
        "depth": 9,
        "hidden_size": 160,
        "intermediate_size": 96,
        "num_heads": 2,
        "out_hidden_size": 128,
        "fullatt_block_indexes": [7],
        "tokens_per_second": 2,
    }
    config = Qwen2_5_VLConfig(
        text_config=text | changes, vision_config=vision, tie_word_embeddings=False
    )
    return randomised(Qwen2_5_VLForConditionalGeneration(config), seed)


def qwen3_vl(seed: int = 5, **changes: Any) -> Any:
    """Qwen3-VL, of whose four vision layers one is told to the text model, too."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = {**_SMALL, "vocab_size": QWEN_TOKENS, "head_dim": 128, "num_attention_heads": 1}
    text |= {"num_key_value_heads": 1}
    text["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": 5_000_000.0,
        "mrope_section": [24, 20, 20],
        "mrope_interleaved": True,
    }
    vision = {
        "depth": 4,
        "hidden_size": 128,
        "intermediate_size": 96,
        "num_heads": 16,
        "out_hidden_size": 64,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [1],
    }
    config = Qwen3VLConfig(
        text_config=text | changes, vision_config=vision, tie_word_embeddings=True
    )
    return _tied(Qwen3VLForConditionalGeneration(config), seed)


def qwen3_5(seed: int = 7) -> Any:
    """Qwen3.5: three layers of linear attention, one of the usual, and a vision model."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    text = {**_SMALL, "vocab_size": 500, "head_dim": 256, "num_attention_heads": 1}
    text |= {"num_key_value_heads": 1, "linear_key_head_dim": 16, "linear_value_head_dim": 16}
    text |= {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
    text["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": 10_000_000.0,
        "partial_rotary_factor": 0.25,
        "mrope_section": [11, 11, 10],
        "mrope_interleaved": True,
    }
    vision = {
        "depth": 2,
        "hidden_size": 128,
        "intermediate_size": 96,
        "num_heads": 2,
        "out_hidden_size": 64,
        "num_position_embeddings": 16,
    }
    config = Qwen3_5Config(
        text_config=text,
        vision_config=vision,
        tie_word_embeddings=True,
        image_token_id=499,
        video_token_id=498,
    )
    return _tied(Qwen3_5ForConditionalGeneration(config), seed)


_MISTRAL: Final[dict[str, Any]] = _SMALL | {
    "vocab_size": 131_072,
    "head_dim": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 2,
    "rms_norm_eps": 1e-5,
}


def mistral3(seed: int = 8) -> Any:
    """Mistral Small 3, which is known by the width inside of its layers."""
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        **_MISTRAL | {"intermediate_size": 32_768, "sliding_window": None},
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000_000.0},
        tie_word_embeddings=False,
    )
    return randomised(MistralForCausalLM(config), seed)


def ministral3(seed: int = 9) -> Any:
    """Ministral 3, as small ones are: its last layer is the table of tokens."""
    from transformers import Ministral3Config, Ministral3ForCausalLM

    return _tied(
        Ministral3ForCausalLM(Ministral3Config(**_MISTRAL, tie_word_embeddings=True)), seed
    )


def gemma3_that_sees(seed: int = 6) -> Any:
    """Gemma 3 with a vision model, for 256 tokens a picture."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    text = {**_SMALL, "vocab_size": GEMMA_TOKENS, "head_dim": 16, "num_hidden_layers": 7}
    text |= {"query_pre_attn_scalar": 16, "sliding_window": 1024}
    text["rope_parameters"] = {
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
    }
    vision = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 16,
        "image_size": 64,
        "patch_size": 2,
        "vision_use_head": False,
    }
    config = Gemma3Config(
        text_config=text, vision_config=vision, image_token_index=GEMMA_TOKENS - 1
    )
    return _tied(Gemma3ForConditionalGeneration(config), seed)


def gemma2(seed: int = 2, **changes: Any) -> Any:
    """Gemma 2."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        **{**_SMALL, "vocab_size": GEMMA_TOKENS, "head_dim": 256, "num_attention_heads": 2}
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0}}
        | changes
    )
    return _tied(Gemma2ForCausalLM(config), seed)


def gemma3(seed: int = 3, **changes: Any) -> Any:
    """Gemma 3 without a vision model, as large ones are."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    config = Gemma3TextConfig(
        **{**_SMALL, "vocab_size": GEMMA_TOKENS, "head_dim": 16, "num_hidden_layers": 7}
        | {"query_pre_attn_scalar": 16, "sliding_window": 512}
        | changes
    )
    return _tied(Gemma3ForCausalLM(config), seed)


def _tied(model: Any, seed: int) -> Any:
    made = randomised(model, seed)
    made.tie_weights()
    return made


def tensors_of(model: Any) -> dict[str, Tensor]:
    """The tensors of a model's file: without the last layer if it is the table of tokens."""
    table = model.get_input_embeddings().weight
    return {
        name: tensor.clone().contiguous()
        for name, tensor in model.state_dict().items()
        if name != "lm_head.weight" or tensor.data_ptr() != table.data_ptr()
    }


def write(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """A file of them."""
    save_file(dict(tensors), path)
    return path


def loaded(kind: str, path: Path, policy: Policy) -> TextHandle:
    """The handle of a file, as loaders make it."""
    return load_text(kind, [path], policy, NOWHERE)


def encoder_of(handle: TextHandle) -> LanguageEncoder:
    """Its only encoder."""
    (encoder,) = handle.encoders.values()
    assert isinstance(encoder, LanguageEncoder)
    return encoder


def gemma_pieces(path: Path) -> Tensor:
    """A small SentencePiece model with Gemma's marks, as files of Gemma carry one."""
    from sentencepiece import SentencePieceTrainer

    SentencePieceTrainer.train(
        sentence_iterator=iter(["a (cat) and a hat", "the cat sat on a mat"] * 4),
        model_prefix=str(path),
        model_type="bpe",
        vocab_size=GEMMA_TOKENS,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        bos_piece="<bos>",
        eos_piece="<eos>",
        byte_fallback=True,
        user_defined_symbols=["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "\n", "<b>"],
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    content = Path(f"{path}.model").read_bytes()
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
