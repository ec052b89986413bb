from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.errors import InvalidInput, VocabularyMissing
from models.text import vocabulary
from models.text.chunks import Token
from models.text.handle import TextHandle


def test_conditioning_is_a_pair_of_tensor_and_options(text: TextHandle) -> None:
    ((cond, options),) = text.encode_text("a cat")
    assert cond.shape == (1, 77, 16) and cond.dtype == torch.float32
    assert options["pooled_output"].shape == (1, 16)


def test_a_long_prompt_makes_several_chunks(text: TextHandle) -> None:
    ((cond, _),) = text.encode_text("cat " * 100)
    assert cond.shape == (1, 154, 16)


def test_the_output_is_that_of_transformers_own_forward(text: TextHandle) -> None:
    chunks = text.chunks("a photo of a cat")
    ids = torch.tensor([[int(token.value) for token in chunk] for chunk in chunks["l"]])
    with text.policy.using(text.encoders["l"].network, torch.device("cpu")) as module:
        output = module(input_ids=ids)
    cond, pooled = text.encode_chunks(chunks)
    assert torch.allclose(cond, output.last_hidden_state, atol=1e-5)
    assert torch.allclose(pooled, output.pooler_output, atol=1e-5)


def test_a_weight_moves_only_its_own_tokens(text: TextHandle) -> None:
    plain, _ = text.encode_chunks(text.chunks("a cat"))
    weighted, _ = text.encode_chunks(text.chunks("a (cat:1.5)"))
    empty, _ = text.encode_chunks(text.chunks(""))
    changed = (plain != weighted).any(dim=-1)[0]
    assert changed.nonzero().flatten().tolist() == [2]
    expected = empty[0, 2] + 1.5 * (plain[0, 2] - empty[0, 2])
    assert torch.allclose(weighted[0, 2], expected, atol=1e-5)


def test_an_earlier_layer_can_be_chosen(text: TextHandle) -> None:
    chunks = text.chunks("a cat")
    last, pooled = text.encode_chunks(chunks)
    earlier, same_pooled = text.with_layer(-2).encode_chunks(chunks)
    assert not torch.allclose(last, earlier)
    assert torch.equal(pooled, same_pooled)
    with pytest.raises(InvalidInput, match="2 layers"):
        text.with_layer(-3).encode_chunks(chunks)


def test_embeddings_of_another_width_are_dropped(text: TextHandle) -> None:
    cat = text.chunks("cat")["l"][0]
    wrong = [cat[0], Token(torch.zeros(5)), *cat[1:-1]]
    assert torch.equal(text.encode_chunks({"l": [wrong]})[0], text.encode_chunks({"l": [cat]})[0])


def test_embeddings_take_the_place_of_a_token(text: TextHandle, tmp_path: Path) -> None:
    row = text.encoders["l"].network.module.get_input_embeddings().weight[2368]  # the token "cat"
    save_file({"emb_params": row[None].clone()}, tmp_path / "feline.safetensors")
    encoder = text.encoders["l"]
    tokenizer = replace(encoder.tokenizer, embedding_folders=(tmp_path,))
    handle = text.clone(encoders={"l": replace(encoder, tokenizer=tokenizer)})
    assert torch.equal(
        handle.encode_chunks(handle.chunks("a embedding:feline"))[0],
        text.encode_chunks(text.chunks("a cat"))[0],
    )


def test_a_missing_vocabulary_says_which_package_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vocabulary, "PACKAGE", "no-such-package")
    with pytest.raises(VocabularyMissing, match="open_clip_torch"):
        vocabulary.vocabulary_file()
