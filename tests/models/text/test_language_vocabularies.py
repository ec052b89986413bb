"""Tokenizers of language models: known ids, round trips, and where their files are looked for."""

from __future__ import annotations

import base64
import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import CheckpointUnreadable, LanguageTokenizerMissing
from models.text.language.qwen_vocabulary import merges, qwen_tokenizer
from models.text.language.vocabulary import JsonVocabulary, from_bytes, vocabulary_for
from tests.models.text import language_models as tiny

TEXTS = (
    "A photo of a cat, 1girl; it's 3.14159!",
    "   spaces\n\n\tand lines \r\n",
    "Ein Bär trägt süße Früchte über die Straße",
    "一只猫坐在红色的椅子上。",
    "猫が椅子に座っています",
    "고양이가 의자에 앉아 있다",
    "Кошка сидит на стуле",
    "قطة تجلس على كرسي أحمر",
    "🐈‍⬛ emoji 👩🏽‍🚀 and math ∑∞ √2",
)


@pytest.mark.parametrize("text", TEXTS)
def test_qwen_tokens_are_the_text_again(text: str) -> None:
    vocabulary = JsonVocabulary(qwen_tokenizer())
    ids = vocabulary.ids(text)
    assert max(ids) < 151643
    assert vocabulary.text(ids) == text


@pytest.mark.parametrize(
    ("mark", "number"),
    [
        ("<|endoftext|>", 151643),
        ("<|im_start|>", 151644),
        ("<|im_end|>", 151645),
        ("<|vision_start|>", 151652),
        ("<|vision_end|>", 151653),
        ("<|image_pad|>", 151655),
        ("<|video_pad|>", 151656),
        ("<tool_call>", 151657),
        ("<|file_sep|>", 151664),
        ("<think>", 151667),
        ("</think>", 151668),
    ],
)
def test_marks_of_qwen_are_one_token(mark: str, number: int) -> None:
    vocabulary = JsonVocabulary(qwen_tokenizer())
    assert vocabulary.ids(f"a{mark}b") == [64, number, 65]
    assert vocabulary.mark(mark) == number


def test_qwen_tokens_are_those_of_its_authors() -> None:
    # "hello world" and the start of the chat template, as published with Qwen2's documentation.
    vocabulary = JsonVocabulary(qwen_tokenizer())
    assert vocabulary.ids("hello world") == [14990, 1879]
    assert vocabulary.ids("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n") == [
        151644, 8948, 198, 2610, 525, 264, 10950, 17847, 13, 151645, 198,
    ]  # fmt: skip


def test_thoughts_stay_in_texts_and_turns_do_not() -> None:
    vocabulary = JsonVocabulary(qwen_tokenizer())
    ids = vocabulary.ids("<think>\nhm\n</think>\n\nyes<|im_end|>")
    assert vocabulary.text(ids) == "<think>\nhm\n</think>\n\nyes"


def test_sentence_pieces_know_gemmas_marks(tmp_path: Path) -> None:
    content = tiny.gemma_pieces(tmp_path / "pieces").numpy().tobytes()
    vocabulary = from_bytes(tmp_path / "model.safetensors", content)
    ids = vocabulary.ids("<bos><start_of_turn>the <b>cat<end_of_turn>\n")
    start, end = vocabulary.mark("<start_of_turn>"), vocabulary.mark("<end_of_turn>")
    assert [ids[0], ids[1], ids[-2]] == [2, start, end]
    assert vocabulary.text(ids) == "the <b>cat\n"
    assert vocabulary.text(vocabulary.ids("Кошка 猫 🐈")) == "Кошка 猫 🐈"


def test_a_file_beside_the_model_comes_first(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    model = tmp_path / "mine.safetensors"
    Tokenizer(WordLevel({"cat": 7, "?": 0}, unk_token="?")).save(
        str(tmp_path / "mine.tokenizer.json")
    )
    assert vocabulary_for("qwen3", model, None, 151_936, ()).ids("cat") == [7]
    assert vocabulary_for("qwen3", tmp_path / "other.safetensors", None, 151_936, ()).ids("a") == [
        64
    ]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "tokenizers"
    with pytest.raises(LanguageTokenizerMissing, match=r"gemma3.*tokenizer.json.*gemma.tokenizer"):
        vocabulary_for("gemma3", tmp_path / "gemma.safetensors", None, 262_208, (folder,))


def test_a_damaged_tokenizer_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointUnreadable, match="no tokenizer"):
        vocabulary_for("qwen3", tmp_path / "mine.safetensors", None, 151_936, ())
    broken = torch.tensor([1, 2, 3], dtype=torch.uint8)
    with pytest.raises(CheckpointUnreadable, match="malformed"):
        vocabulary_for("gemma3", tmp_path / "gemma.safetensors", broken, 262_208, ())


@functools.cache
def tekken(count: int = 3000) -> dict[str, Any]:
    """A vocabulary as Mistral publishes it: of Qwen's first tokens, after ten marks."""
    tokens = [bytes([code]) for code in [*range(33, 127), *range(161, 173), *range(174, 256)]]
    tokens += [bytes([code]) for code in range(256) if bytes([code]) not in tokens]
    for left, right in merges()[: count - 256]:
        tokens.append(tokens[left] + tokens[right])
    vocab = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode()}
        for rank, token in enumerate(tokens)
    ]
    pattern = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"
    marks = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]")
    return {
        "config": {
            "pattern": pattern,
            "default_vocab_size": count + 10,
            "default_num_special_tokens": 10,
        },
        "vocab": vocab,
        "special_tokens": [{"rank": rank, "token_str": mark} for rank, mark in enumerate(marks)],
    }


@pytest.mark.parametrize("text", TEXTS)
def test_tekken_merges_as_its_ranks_say(text: str, tmp_path: Path) -> None:
    (tmp_path / "tekken.json").write_text(json.dumps(tekken()))
    vocabulary = vocabulary_for("mistral3", tmp_path / "m.safetensors", None, 131_072, ())
    ids = vocabulary.ids(text)
    assert vocabulary.text(ids) == text
    pieces = [base64.b64decode(tekken()["vocab"][number - 10]["token_bytes"]) for number in ids]
    assert b"".join(pieces) == text.encode()


def test_tekken_gives_the_ids_of_merges(tmp_path: Path) -> None:
    content = json.dumps(tekken()).encode()
    vocabulary = from_bytes(tmp_path / "m.safetensors", content)
    qwen = JsonVocabulary(qwen_tokenizer())
    for word in (" world", " the", "ing", "ation", " function", " public", " about"):
        (number,) = qwen.ids(word)
        assert vocabulary.ids(word) == [number + 10]
    ids = vocabulary.ids("<s>[INST]the[/INST]</s>")
    assert [*ids[:2], *ids[-2:]] == [1, 3, 4, 2]
    assert vocabulary.text(ids) == "the"


@pytest.mark.parametrize("broken", [{"config": {}}, {"vocab": [{"rank": 0}]}])
def test_a_malformed_tekken_is_said(broken: dict[str, Any], tmp_path: Path) -> None:
    content = json.dumps(tekken() | broken).encode()
    with pytest.raises(CheckpointUnreadable, match="no tokenizer"):
        from_bytes(tmp_path / "m.safetensors", content)
