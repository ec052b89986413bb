"""Texts that language models write: token for token those of transformers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.devices import StatedMemory
from models.errors import InvalidInput
from models.memory import Policy, choose_policy
from models.residents import Residents
from models.text.chunks import Token
from models.text.language.choosing import Sampling
from models.text.language.encoder import LanguageEncoder
from models.text.language.generation import Writing, write
from tests.models.text import language_models as tiny

PROMPT = [9, 11, 250, 37, 12, 5, 77]


def encoder_of(model: Any, folder: Path, policy: Policy) -> LanguageEncoder:
    path = tiny.write(folder / "model.safetensors", tiny.tensors_of(model))
    return tiny.encoder_of(tiny.loaded("ltxv", path, policy))


def tokens(ids: list[int]) -> list[Token]:
    return [Token(number) for number in ids]


@pytest.mark.parametrize(
    "make",
    [
        tiny.qwen3,
        tiny.qwen3_5,
        tiny.qwen2_5_vl,
        tiny.gemma2,
        tiny.gemma3,
        tiny.mistral3,
        tiny.ministral3,
    ],
)
def test_the_best_tokens_are_those_of_transformers(
    make: Callable[[], Any], tmp_path: Path, policy: Policy
) -> None:
    model = make()
    encoder = encoder_of(model, tmp_path, policy)
    expected = model.generate(torch.tensor([PROMPT]), max_new_tokens=12, do_sample=False)
    found = write(encoder, tokens(PROMPT), Writing(most=12), policy)
    assert found == expected[0, len(PROMPT) :].tolist()
    assert len(set(found)) > 3  # a model that says one thing would prove nothing


def test_a_window_slides_as_in_transformers(tmp_path: Path, policy: Policy) -> None:
    model = tiny.gemma3()
    encoder = encoder_of(model, tmp_path, policy)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(10, 300, (1, 530), generator=generator)
    expected = model.generate(ids, max_new_tokens=6, do_sample=False)
    found = write(encoder, tokens(ids[0].tolist()), Writing(most=6), policy)
    assert found == expected[0, 530:].tolist()


def test_an_end_ends_it_and_is_left_out(tmp_path: Path, policy: Policy) -> None:
    encoder = encoder_of(tiny.qwen3(), tmp_path, policy)
    whole = write(encoder, tokens(PROMPT), Writing(most=8), policy)
    end = next(token for token in whole[2:] if token not in whole[:2])
    cut = write(encoder, tokens(PROMPT), Writing(most=8, ends={end}), policy)
    assert cut == whole[: whole.index(end)]


def test_a_seed_writes_the_same_again(tmp_path: Path, policy: Policy) -> None:
    encoder = encoder_of(tiny.qwen3(), tmp_path, policy)
    warm = Writing(most=8, sampling=Sampling(seed=1, temperature=1.5))
    other = Writing(most=8, sampling=Sampling(seed=2, temperature=1.5))
    first = write(encoder, tokens(PROMPT), warm, policy)
    assert write(encoder, tokens(PROMPT), warm, policy) == first
    assert write(encoder, tokens(PROMPT), other, policy) != first


def test_one_candidate_writes_what_is_best(tmp_path: Path, policy: Policy) -> None:
    encoder = encoder_of(tiny.qwen3(), tmp_path, policy)
    drawn = Writing(most=6, sampling=Sampling(top_k=1, seed=5))
    best = write(encoder, tokens(PROMPT), Writing(most=6), policy)
    assert write(encoder, tokens(PROMPT), drawn, policy) == best


def test_every_token_is_told_and_may_be_the_last(tmp_path: Path, policy: Policy) -> None:
    encoder = encoder_of(tiny.qwen3(), tmp_path, policy)
    told: list[int] = []

    def until_three(count: int) -> None:
        told.append(count)
        if count == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(encoder, tokens(PROMPT), Writing(most=8), policy, until_three)
    assert told == [1, 2, 3]


def test_a_model_that_was_cut_for_encoding_says_so(tmp_path: Path, policy: Policy) -> None:
    tensors = tiny.tensors_of(tiny.qwen3(hidden_size=2624, num_hidden_layers=1, vocab_size=300))
    path = tiny.write(tmp_path / "model.safetensors", tensors)
    encoder = tiny.encoder_of(tiny.loaded("ltxv", path, policy))
    with pytest.raises(InvalidInput, match="lm_head"):
        write(encoder, tokens(PROMPT), Writing(most=1), policy)


def test_weights_in_eight_bits_with_scales_write_as_their_products(
    tmp_path: Path, policy: Policy
) -> None:
    model = tiny.qwen3()
    tensors: dict[str, torch.Tensor] = {"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)}
    for name, tensor in tiny.tensors_of(model).items():
        if tensor.ndim < 2:
            tensors[name] = tensor
            continue
        small = (tensor * 16).to(torch.float8_e4m3fn)
        tensors[name] = small
        tensors[name.replace(".weight", ".scale_weight")] = torch.tensor(1 / 16)
        model.get_parameter(name).data = small.float() / 16
    encoder = tiny.encoder_of(
        tiny.loaded("ltxv", tiny.write(tmp_path / "fp8.safetensors", tensors), policy)
    )
    model.tie_weights()
    expected = model.generate(torch.tensor([PROMPT]), max_new_tokens=6, do_sample=False)
    found = write(encoder, tokens(PROMPT), Writing(most=6), policy)
    assert found == expected[0, len(PROMPT) :].tolist()
    assert encoder.network.size() < 20_000_000  # the table of tokens takes a byte a number


@pytest.mark.parametrize(("memory", "is_kept"), [(10**9, False), (10**6, True)])
def test_halves_are_widened_where_memory_suffices(
    memory: int, is_kept: bool, tmp_path: Path
) -> None:
    tensors = {name: t.bfloat16() for name, t in tiny.tensors_of(tiny.qwen3()).items()}
    path = tiny.write(tmp_path / "half.safetensors", tensors)
    policy = choose_policy(cpu=True)
    policy = replace(policy, residents=Residents(StatedMemory(memory, "cpu")))
    encoder = tiny.encoder_of(tiny.loaded("ltxv", path, policy))
    assert encoder.network.storage.keep_halves
    first = write(encoder, tokens(PROMPT), Writing(most=4), policy)
    assert encoder.network.storage.keep_halves is is_kept
    assert write(encoder, tokens(PROMPT), Writing(most=4), policy) == first
