"""Which token comes next: properties of draws from a tiny vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.text.language.choosing import Chooser, Sampling

SCORES = torch.tensor([2.0, 1.0, 0.5, -1.0, -3.0])


def drawn(sampling: Sampling, count: int = 1, scores: Tensor = SCORES) -> list[int]:
    """Tokens drawn one after another from the same scores."""
    chooser = Chooser((), sampling)
    return [chooser.choose(scores) for _ in range(count)]


def frequencies(sampling: Sampling, count: int = 4000) -> Tensor:
    counts = Counter(drawn(sampling, count))
    return torch.tensor([counts[token] / count for token in range(len(SCORES))])


def test_without_sampling_the_best_token_comes() -> None:
    assert Chooser((), None).choose(SCORES) == 0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_their_scores_say(temperature: float) -> None:
    found = frequencies(Sampling(temperature=temperature))
    torch.testing.assert_close(found, (SCORES / temperature).softmax(0), atol=0.03, rtol=0.0)


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_one_candidate_is_the_best_token(seed: int) -> None:
    assert drawn(Sampling(top_k=1, temperature=2.0, seed=seed), 20) == [0] * 20


def test_a_seed_draws_the_same_whatever_else_is_drawn() -> None:
    torch.manual_seed(1)
    first = drawn(Sampling(seed=7), 30)
    torch.manual_seed(2)
    torch.rand(3)
    assert drawn(Sampling(seed=7), 30) == first
    assert drawn(Sampling(seed=8), 30) != first


def test_no_draw_changes_the_global_state() -> None:
    before = torch.get_rng_state()
    drawn(Sampling(seed=3), 5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("sampling", "left"),
    [
        (Sampling(top_k=2), {0, 1}),
        (Sampling(top_p=0.5), {0}),  # the best one has 0.6
        (Sampling(top_p=0.7), {0, 1}),
        (Sampling(min_p=0.2), {0, 1, 2}),  # 1, 0.37, 0.22, 0.05, 0.007 of the best
        (Sampling(min_p=0.01), {0, 1, 2, 3}),
        (Sampling(top_p=0.0, min_p=1.0), {0}),
    ],
)
def test_improbable_tokens_are_left_out(sampling: Sampling, left: set[int]) -> None:
    assert set(drawn(sampling, 2000)) == left


def test_what_is_left_keeps_its_proportions() -> None:
    found = frequencies(Sampling(top_k=3))
    expected = torch.cat([SCORES[:3].softmax(0), torch.zeros(2)])
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0.0)


def test_presence_forbids_what_was_written_once() -> None:
    found = drawn(Sampling(presence_penalty=1000.0, top_k=1), 5)
    assert found == [0, 1, 2, 3, 4]


def test_presence_does_not_count_the_prompt() -> None:
    assert Chooser([0], Sampling(presence_penalty=1000.0, top_k=1)).choose(SCORES) == 0


@pytest.mark.parametrize(("prompt", "expected"), [((), 0), ((0,), 1), ((0, 1), 2)])
def test_repetition_counts_the_prompt(prompt: Sequence[int], expected: int) -> None:
    # A score above 0 is divided, one below is multiplied.
    sampling = Sampling(repetition_penalty=10.0, top_k=1)
    assert Chooser(prompt, sampling).choose(SCORES) == expected
    negative = torch.tensor([-1.0, -2.0])
    assert Chooser([0], sampling).choose(negative) == 1


def test_penalties_are_those_of_transformers() -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    ids = [1, 3]
    expected = RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([ids]), SCORES[None].clone())
    sampling = Sampling(repetition_penalty=1.3)
    found = Chooser(ids, sampling)._penalised(SCORES, sampling)
    torch.testing.assert_close(found, expected[0])


@pytest.mark.parametrize("name", ["temperature", "repetition_penalty"])
def test_what_cannot_be_divided_by_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="above 0"):
        Sampling(**{name: 0.0})  # type: ignore[arg-type]
