"""The vocabulary of Mistral's models since Nemo, as they publish it: `tekken.json`.

It has byte strings in order of rank, which are merged as in tiktoken, and marks before them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from models.text.vocabulary import byte_alphabet

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MARKS: Final = 1000  # how many ids marks take, where the file does not say it


def is_tekken(document: Mapping[str, Any]) -> bool:
    """Whether a file's content is such a vocabulary."""
    return "config" in document and isinstance(document.get("vocab"), list)


def tekken_tokenizer(document: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer. Raises KeyError, TypeError or ValueError for a document that is malformed."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    config = document["config"]
    count = int(config.get("default_num_special_tokens", _MARKS))
    most = int(config.get("default_vocab_size", len(document["vocab"]) + count)) - count
    ranked = [base64.b64decode(entry["token_bytes"]) for entry in document["vocab"][:most]]
    ranks = {token: rank for rank, token in enumerate(ranked)}
    names = _characters(ranked)
    marks = {int(m["rank"]): str(m["token_str"]) for m in document.get("special_tokens") or ()}
    vocabulary = {name: number for number, name in enumerate(names, start=count)}
    vocabulary |= {marks.get(number, f"<SPECIAL_{number}>"): number for number in range(count)}
    merges = [
        (names[ranks[left]], names[ranks[right]])
        for token in ranked
        if len(token) > 1
        for left, right in _merged_from(token, ranks)
    ]
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(config["pattern"]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    known = [AddedToken(name, normalized=False) for _, name in sorted(marks.items())]
    tokenizer.add_special_tokens(known)
    return tokenizer


def _characters(tokens: list[bytes]) -> list[str]:
    """Tokens with a printable character for each byte, as byte-level BPE has them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [code for code in range(256) if code not in set(printable)]
    table = dict(zip([*printable, *others], byte_alphabet(), strict=True))
    return ["".join(table[byte] for byte in token) for token in tokens]


def _merged_from(token: bytes, ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The two tokens of lower rank that become this one last; none if it is never merged."""
    parts = [bytes([byte]) for byte in token]
    limit = ranks[token]
    while len(parts) > 2:
        pairs = [
            (rank, place)
            for place in range(len(parts) - 1)
            if (rank := ranks.get(parts[place] + parts[place + 1], limit)) < limit
        ]
        if not pairs:
            return []
        _, place = min(pairs)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return [(parts[0], parts[1])]
