"""Where the T5 tokenizer comes from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
import pytest
import torch

from models.errors import CheckpointUnreadable, TokenizerMissing
from models.text.t5_vocabulary import T5Vocabulary, from_file
from tests.models.text.encoders import T5_TOKENIZER, with_t5_tokenizer

TEXTS = ("a photo of a cat", " two  spaces ", "", "naïve café", "line\nbreak", "(x:1.2), 8k!")


def sentencepiece_model() -> bytes:
    """The vocabulary as a SentencePiece model: a ModelProto with pieces and normalizer's rules."""
    document = json.loads(T5_TOKENIZER.read_text(encoding="utf-8"))
    kinds = {"<pad>": 3, "</s>": 3, "<unk>": 2}
    pieces = b"".join(
        _field(1, _field(1, piece.encode()) + b"\x15" + _float(score)
               + b"\x18" + bytes([kinds.get(piece, 1)]))
        for piece, score in document["model"]["vocab"]
    )  # fmt: skip
    # A unigram model with the ids of its special pieces, and the usual normalization.
    trainer = _field(2, b"\x18\x01" + b"\xc0\x02\x02" + b"\xc8\x02" + b"\xff" * 9 + b"\x01"
                     + b"\xd0\x02\x01" + b"\xd8\x02\x00")  # fmt: skip
    return pieces + trainer + _field(3, _field(1, b"identity"))


def _float(value: float) -> bytes:
    return bytes(torch.tensor([value], dtype=torch.float32).view(torch.uint8).tolist())


def _field(number: int, content: bytes) -> bytes:
    length, size = b"", len(content)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def ids_of_library(text: str) -> Sequence[int]:
    from tokenizers import Tokenizer

    found: list[int] = Tokenizer.from_file(str(T5_TOKENIZER)).encode(text).ids
    return found[:-1]


@pytest.mark.parametrize("text", TEXTS)
def test_a_file_in_the_folder_of_tokenizers_serves(text: str, tmp_path: Path) -> None:
    vocabulary = T5Vocabulary(with_t5_tokenizer(tmp_path).tokenizers)
    assert list(vocabulary(text)) == ids_of_library(text)


@pytest.mark.parametrize("text", ["a photo of a cat", " two  spaces ", "", "(x:1.2), 8k!"])
def test_a_sentencepiece_model_in_a_checkpoint_serves(text: str) -> None:
    model = torch.frombuffer(bytearray(sentencepiece_model()), dtype=torch.uint8)
    assert list(T5Vocabulary(model=model)(text)) == ids_of_library(text)


def test_a_sentencepiece_model_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "t5").mkdir()
    (tmp_path / "t5" / "spiece.model").write_bytes(sentencepiece_model())
    assert list(T5Vocabulary((tmp_path,))("a cat")) == ids_of_library("a cat")


@pytest.mark.parametrize("name", ["tokenizer.json", "spiece.model"])
def test_a_file_that_is_no_tokenizer_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("nothing")
    with pytest.raises(CheckpointUnreadable, match=name):
        from_file(tmp_path / name)


def test_without_a_tokenizer_the_error_says_where_one_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(TokenizerMissing, match=str(tmp_path / "t5xxl")) as caught:
        T5Vocabulary((tmp_path,))("a cat")
    assert "tokenizer.json or spiece.model" in str(caught.value)


def test_the_hub_is_not_asked_where_that_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(T5_TOKENIZER))
    with pytest.raises(TokenizerMissing):
        T5Vocabulary((tmp_path,), asks_hub=False)("a cat")


def test_what_the_hub_gives_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(T5_TOKENIZER))
    assert list(T5Vocabulary((tmp_path,))("a cat")) == ids_of_library("a cat")
