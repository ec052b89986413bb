"""The tokenizer that a GGUF file of T5 carries."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from models.text.t5_vocabulary import T5Vocabulary
from models.weights import open_weights
from tests.models.text.encoders import T5_TOKENIZER
from tests.models.text.test_t5_vocabulary import ids_of_library

_KINDS = {"<pad>": 3, "</s>": 3, "<unk>": 2}
TEXTS = ("a photo of a cat", " two  spaces ", "", "naïve ﬁne café", "line\nbreak", "(x:1.2), 8k!")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with T5's vocabulary, as llama.cpp converts it, and one tensor."""
    document = json.loads(T5_TOKENIZER.read_text(encoding="utf-8"))
    pieces = document["model"]["vocab"]
    rules = [document["normalizer"], *document["normalizer"].get("normalizers", [])]
    characters = next(
        rule["precompiled_charsmap"] for rule in rules if "precompiled_charsmap" in rule
    )
    made = tmp_path_factory.mktemp("t5") / "t5.gguf"
    writer = gguf.GGUFWriter(made, "t5encoder")
    writer.add_tokenizer_model("t5")
    writer.add_token_list([piece for piece, _ in pieces])
    writer.add_token_scores([score for _, score in pieces])
    writer.add_token_types([_KINDS.get(piece, 1) for piece, _ in pieces])
    writer.add_precompiled_charsmap(base64.b64decode(characters))
    writer.add_tensor("token_embd.weight", np.zeros((2, 2), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return made


@pytest.mark.parametrize("text", TEXTS)
def test_its_ids_are_those_of_the_tokenizer(text: str, path: Path) -> None:
    vocabulary = T5Vocabulary(model=open_weights(path).tensors["spiece_model"])
    assert list(vocabulary(text)) == list(ids_of_library(text))


@pytest.mark.parametrize(
    ("model", "scores"), [("bert", [0.0]), ("t5", [0.0, 1.0]), ("t5", ["high"])]
)
def test_a_file_without_one_has_none(model: str, scores: list[Any], tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "t5encoder")
    writer.add_tokenizer_model(model)
    writer.add_token_list(["a"])
    writer.add_array("tokenizer.ggml.scores", scores)
    writer.add_tensor("a", np.zeros((2, 2), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert set(open_weights(tmp_path / "m.gguf").tensors) == {"a"}
