"""CLIP text encoders and prompts."""

from __future__ import annotations

from typing import Any

from comfy.not_yet import absent

from models.protocol.text import EncoderModel as SDClipModel
from models.protocol.text import SD1ClipModel
from models.protocol.text import Tokenizers as SD1Tokenizer
from models.text.prompt import parse_prompt
from models.text.tokenizer import PromptTokenizer as SDTokenizer

__all__ = ["SD1ClipModel", "SD1Tokenizer", "SDClipModel", "SDTokenizer"]

_HIDDEN = {"\\)": "\0\1", "\\(": "\0\2"}


def escape_important(text: str) -> str:
    """Text with escaped parentheses hidden."""
    for shown, hidden in _HIDDEN.items():
        text = text.replace(shown, hidden)
    return text


def unescape_important(text: str) -> str:
    """Text with hidden parentheses shown again."""
    for shown, hidden in _HIDDEN.items():
        text = text.replace(hidden, shown[1])
    return text


def token_weights(string: str, current_weight: float) -> list[tuple[str, float]]:
    """The pieces of a prompt (escaped parentheses hidden) with their weights."""
    return [(piece.text, piece.weight * current_weight) for piece in parse_prompt(string)]


def gen_empty_tokens(special_tokens: dict[str, int], length: int) -> list[int]:
    """The tokens of an empty prompt."""
    start = [special_tokens["start"]] if special_tokens.get("start") is not None else []
    end = [special_tokens["end"]] if special_tokens.get("end") is not None else []
    pad: Any = special_tokens.get("pad", 0)
    return (start + end + [pad] * length)[:length]


__getattr__ = absent(
    __name__,
    classes="ClipTokenWeightEncoder",
    layers="SD1CheckpointClipModel",
    functions=(
        "load_embed expand_directory_list parse_parentheses safe_load_embed_zip "
        "bundled_embed model_options_long_clip"
    ),
)
