"""The tokenizer that GGUF files of T5 and Gemma carry, as a SentencePiece model.

The messages and numbers of fields are those of
https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

_PREFIX: Final = "tokenizer.ggml."
_ALGORITHMS: Final = {"t5": 1, "llama": 2}  # unigram; BPE, of Gemma and the first Llamas
_NORMAL, _BYTE = 1, 6  # kinds of pieces

# Where a message has its fields.
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_PIECE, _SCORE, _KIND = 1, 2, 3
_MODEL, _BYTES, _UNKNOWN, _BEGIN, _END, _PAD = 3, 35, 40, 41, 42, 43
_NAME, _CHARACTERS, _DUMMY_PREFIX, _NO_EXTRA_SPACES = 1, 2, 3, 4


def sentencepiece_model(fields: Mapping[str, Any]) -> bytes | None:
    """The model that the fields of a GGUF file describe; None if they describe none.

    Raises TypeError, ValueError or OverflowError for fields that say what they cannot.
    """

    def field(name: str, default: Any = None) -> Any:
        return fields.get(_PREFIX + name, default)

    tokens, scores = field("tokens", []), field("scores", [])
    kinds = field("token_type", [_NORMAL] * len(tokens))
    is_whole = _all(str, tokens) and _all(float, scores) and _all(int, kinds)
    algorithm = _ALGORITHMS.get(field("model"))
    if algorithm is None or not is_whole or not len(tokens) == len(scores) == len(kinds):
        return None
    pieces = b"".join(
        _message(
            _PIECES,
            _message(_PIECE, token.encode())
            + _tag(_SCORE, 5) + struct.pack("<f", score) + _number(_KIND, kind),
        )
        for token, score, kind in zip(tokens, scores, kinds, strict=True)
    )  # fmt: skip
    trainer = (
        _number(_MODEL, algorithm)
        + _number(_BYTES, _BYTE in kinds)
        + _number(_UNKNOWN, field("unknown_token_id", 2))
        + _number(_BEGIN, field("bos_token_id", -1))
        + _number(_END, field("eos_token_id", 1))
        + _number(_PAD, field("padding_token_id", 0))
    )
    characters = field("precompiled_charsmap", ())
    normalizer = (
        _message(_NAME, b"gguf")
        + _message(_CHARACTERS, bytes(n & 255 for n in characters if isinstance(n, int)))
        + _number(_DUMMY_PREFIX, field("add_space_prefix", True))
        + _number(_NO_EXTRA_SPACES, field("remove_extra_whitespaces", True))
    )
    return pieces + _message(_TRAINER, trainer) + _message(_NORMALIZER, normalizer)


def _all(kind: type, values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _message(field: int, content: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(int(value) & (1 << 64) - 1)


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes((*found, value))
