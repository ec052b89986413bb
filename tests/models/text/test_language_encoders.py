"""Language models as text encoders give what transformers and diffusers' pipelines take of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import InvalidInput, LanguageTokenizerMissing
from models.load import load_text
from models.memory import Policy
from models.network import Network
from models.text.chunks import Token
from models.text.families import Combination
from models.text.language import families
from models.text.language.prompting import (
    LanguageTokenizer,
    Prompting,
    chunk_format,
    with_prompting,
)
from models.text.language.qwen_vocabulary import qwen_tokenizer
from models.text.language.vocabulary import JsonVocabulary
from models.text.saving import encoder_tensors
from tests.models.text import encoders
from tests.models.text import language_models as tiny


def test_z_image_takes_the_layer_before_the_last_of_qwen3(tmp_path: Path, policy: Policy) -> None:
    model = tiny.qwen3()
    path = tiny.write(tmp_path / "qwen_3_4b.safetensors", tiny.tensors_of(model))
    handle = tiny.loaded("lumina2", path, policy)
    text = "<|im_start|>user\na cat<|im_end|>\n<|im_start|>assistant\n"
    ids = tiny.encoder_of(handle).tokenizer.vocabulary.ids(text)
    assert [ids[0], ids[-3], ids[5]] == [151644, 151644, 151645]
    cond, pooled = handle.encode_chunks(handle.chunks("a cat"))
    expected = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-2]
    torch.testing.assert_close(cond, expected, atol=1e-5, rtol=1e-4)
    assert pooled is None


def test_flux2_klein_joins_layers_of_a_padded_prompt(tmp_path: Path, policy: Policy) -> None:
    model = tiny.qwen3(num_hidden_layers=28)
    path = tiny.write(tmp_path / "qwen.safetensors", tiny.tensors_of(model))
    handle = tiny.loaded("flux2", path, policy)
    ((chunk,),) = handle.chunks("a cat").values()
    ids = torch.tensor([[int(token.value) for token in chunk]])
    assert ids.shape == (1, 512)
    mask = ids != 151643
    states = model(ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
    cond, _ = handle.encode_chunks({"qwen3": [chunk]})
    expected = torch.cat([states[number] for number in (9, 18, 27)], dim=-1)
    torch.testing.assert_close(cond[:, mask[0]], expected[:, mask[0]], atol=1e-5, rtol=1e-4)
    assert cond.shape == (1, 512, 3 * 64)


@pytest.mark.parametrize("make", [tiny.gemma2, tiny.gemma3])
def test_gemma_reads_the_vocabulary_of_its_file(
    make: Callable[[], Any], tmp_path: Path, policy: Policy
) -> None:
    model = make()
    pieces = tiny.gemma_pieces(tmp_path / "pieces")
    tensors = tiny.tensors_of(model) | {"spiece_model": pieces}
    handle = tiny.loaded("lumina2", tiny.write(tmp_path / "gemma.safetensors", tensors), policy)
    encoder = tiny.encoder_of(handle)
    ((chunk,),) = handle.chunks("a (cat)").values()
    ids = [int(token.value) for token in chunk]
    assert ids[0] == 2  # <bos>
    assert encoder.tokenizer.vocabulary.text(ids) == "a (cat)"
    states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
    for number, state in enumerate(encoder.states(chunk, policy)):
        torch.testing.assert_close(state, states[number], atol=1e-5, rtol=1e-4)


_QWEN_IMAGE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, "
    "quantity, text, spatial relationships of the objects and background:<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)


def test_qwen_image_drops_34_tokens_of_its_template(tmp_path: Path, policy: Policy) -> None:
    model = tiny.qwen2_5_vl()
    path = tiny.write(tmp_path / "qwen_2.5_vl_7b.safetensors", tiny.tensors_of(model))
    handle = tiny.loaded("qwen_image", path, policy)
    ids = tiny.encoder_of(handle).tokenizer.vocabulary.ids(_QWEN_IMAGE.format("a cat"))
    cond, _ = handle.encode_chunks(handle.chunks("a cat"))
    expected = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][:, 34:]
    torch.testing.assert_close(cond, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model.", "model.language_model."),
        ("model.", "language_model.model."),
        ("model.", "text_encoders.qwen3_4b.transformer.model."),
        ("model.", ""),
    ],
)
def test_files_may_have_other_prefixes(old: str, new: str, tmp_path: Path, policy: Policy) -> None:
    model = tiny.qwen3()
    tensors = {name.replace(old, new, 1): t for name, t in tiny.tensors_of(model).items()}
    handle = tiny.loaded("lumina2", tiny.write(tmp_path / "qwen.safetensors", tensors), policy)
    ids = [9707, 1879]
    states = tiny.encoder_of(handle).states([Token(number) for number in ids], policy)
    expected = model.model(torch.tensor([ids])).last_hidden_state
    torch.testing.assert_close(states[-1], expected, atol=1e-5, rtol=1e-4)


def test_any_type_takes_a_language_model_alone(tmp_path: Path, policy: Policy) -> None:
    path = tiny.write(tmp_path / "qwen.safetensors", tiny.tensors_of(tiny.qwen3()))
    handle = tiny.loaded("ltxv", path, policy)
    assert handle.combination.name == "language"
    assert [token.value for token in handle.chunks("hello world")["qwen3"][0]] == [14990, 1879]


def test_a_layer_that_is_not_there_is_refused(tmp_path: Path, policy: Policy) -> None:
    path = tiny.write(tmp_path / "qwen.safetensors", tiny.tensors_of(tiny.qwen3()))
    handle = tiny.loaded("lumina2", path, policy).with_layer(-9)
    with pytest.raises(InvalidInput, match="4 layers"):
        handle.encode_text("a cat")


def test_a_model_without_its_tokenizer_says_where_to_put_it(tmp_path: Path, policy: Policy) -> None:
    path = tiny.write(tmp_path / "gemma.safetensors", tiny.tensors_of(tiny.gemma2()))
    with pytest.raises(LanguageTokenizerMissing, match=r"gemma\.tokenizer\.json"):
        tiny.loaded("lumina2", path, policy).encode_text("a cat")


@pytest.mark.parametrize(
    ("family", "count"),
    [
        (families.QWEN_IMAGE, 34),
        (families.KANDINSKY5, 128),
        (families.KANDINSKY5_IMAGE, 40),
        (families.OVIS, 28),
    ],
    ids=lambda value: value.name if isinstance(value, Combination) else None,
)
def test_what_comes_before_the_prompt_is_as_long_as_in_diffusers(
    family: Combination, count: int
) -> None:
    (prompting,) = [use.prompting for use in family.uses.values() if use.prompting is not None]
    tokenizer = LanguageTokenizer(
        encoder="qwen",
        chunk_format=chunk_format(151643),
        vocabulary=JsonVocabulary(qwen_tokenizer()),
        prompting=prompting,
    )
    (chunk,) = tokenizer.tokenize("a cat")
    assert tokenizer.begin(chunk) == count


def test_kandinsky_takes_tokens_of_qwen_and_what_clip_pools(tmp_path: Path, policy: Policy) -> None:
    qwen, clip = tiny.qwen2_5_vl(), encoders.clip(width=768, layers=2, projected=None)
    paths = [
        tiny.write(tmp_path / "qwen.safetensors", tiny.tensors_of(qwen)),
        tiny.write(tmp_path / "clip_l.safetensors", encoders.tensors_of({"": clip})),
    ]
    handle = load_text("kandinsky5", paths, policy, tiny.NOWHERE)
    chunks = handle.chunks("a cat")
    cond, pooled = handle.encode_chunks(chunks)
    ids = torch.tensor([[int(token.value) for token in chunks["qwen2_5_vl"][0]]])
    expected = qwen(ids, output_hidden_states=True).hidden_states[-1][:, 128:]
    torch.testing.assert_close(cond, expected, atol=1e-5, rtol=1e-4)
    ids = torch.tensor([[int(token.value) for token in chunks["l"][0]]])
    torch.testing.assert_close(pooled, clip(ids).pooler_output, atol=1e-4, rtol=1e-4)


def test_the_last_layer_may_be_wanted_without_its_norm(tmp_path: Path, policy: Policy) -> None:
    model = tiny.qwen3()
    path = tiny.write(tmp_path / "qwen.safetensors", tiny.tensors_of(model))
    encoder = tiny.encoder_of(tiny.loaded("ltxv", path, policy))
    bare = replace(encoder, tokenizer=with_prompting(encoder.tokenizer, Prompting(is_normed=False)))
    chunk = [Token(9707), Token(1879)]
    normed, raw = encoder.states(chunk, policy)[-1], bare.states(chunk, policy)[-1]
    assert not torch.allclose(normed, raw)
    torch.testing.assert_close(model.model.norm(raw), normed, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encoder.states(chunk, policy)[-1], normed)


@pytest.mark.parametrize("make", [tiny.qwen2_5_vl, tiny.gemma3_that_sees, tiny.qwen3_vl])
def test_a_saved_language_model_is_whole(
    make: Callable[[], Any], tmp_path: Path, policy: Policy
) -> None:
    tensors = tiny.tensors_of(make()) | {"spiece_model": tiny.gemma_pieces(tmp_path / "pieces")}
    path = tiny.write(tmp_path / "model.safetensors", tensors)
    encoder = tiny.encoder_of(tiny.loaded("ltxv", path, policy))
    saved = tiny.write(tmp_path / "saved.safetensors", encoder_tensors(encoder))
    again = tiny.encoder_of(tiny.loaded("ltxv", saved, policy))
    assert again.kind is encoder.kind
    assert again.inside is not None
    first, second = (
        {name: one for part in (e.network, e.head, e.vision) if part for name, one in parts(part)}
        for e in (encoder, again)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def parts(network: Network[Any]) -> list[tuple[str, torch.Tensor]]:
    """The weights of a network, by their names."""
    return [(name, network.stored(name)) for name in network.names()]


def test_kinds_of_models_that_are_not_built_are_named(tmp_path: Path, policy: Policy) -> None:
    path = tiny.write(tmp_path / "qwen.safetensors", tiny.tensors_of(tiny.qwen3()))
    with pytest.raises(InvalidInput, match="'ace' are not supported"):
        load_text("ace", [path, path], policy, tiny.NOWHERE)
