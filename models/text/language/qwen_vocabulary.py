"""The vocabulary that Qwen2, Qwen2.5 and Qwen3 share: byte-level BPE, with marks at its end.

Their model files lack it. `qwen_merges.xz` is made from what the package qwen-agent publishes
under the Apache licence (see the notice beside it): for each token of several bytes, in order of
rank, the two tokens that it is merged from.
"""

from __future__ import annotations

import functools
import lzma
import struct
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from models.text.vocabulary import byte_alphabet

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MERGES: Final = "qwen_merges.xz"
# How a text is cut into words before bytes are merged, from transformers' Qwen2Tokenizer.
_WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Marks after the ordinary tokens, the first is 151643. Those of tools and thoughts stay in texts.
_TURNS: Final = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
_KEPT: Final = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>",
    "<think>", "</think>",
)  # fmt: skip


def merges() -> list[tuple[int, int]]:
    """The pairs of token ids that become one, best first."""
    packed = lzma.decompress((files(__package__) / _MERGES).read_bytes())
    return list(struct.iter_unpack("<II", packed))


@functools.cache
def qwen_tokenizer() -> Tokenizer:
    """The tokenizer: 151643 tokens of text, then marks."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    tokens = byte_alphabet()
    pairs: list[tuple[str, str]] = []
    for left, right in merges():
        pairs.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=pairs, fuse_unk=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False) for mark in _TURNS])
    tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in _KEPT])
    return tokenizer
