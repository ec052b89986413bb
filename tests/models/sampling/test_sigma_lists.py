"""Lists of sigmas that no model is needed for: what the reference cases do not show."""

from __future__ import annotations

import pytest
import torch

from models.sampling import sigma_lists, sigma_ranges, tabulated

LEVELS = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0])


def test_both_parts_of_a_split_have_the_sigma_at_the_cut() -> None:
    high, low = sigma_lists.split(LEVELS, 2)
    assert high.tolist() == [8, 4, 2]
    assert low.tolist() == [2, 1, 0]


def test_a_share_of_no_step_leaves_the_last_sigma_alone() -> None:
    high, low = sigma_lists.split_by_denoise(LEVELS, 0.0)
    assert high.tolist() == []
    assert low.tolist() == [0]


def test_tools_leave_the_list_they_are_given() -> None:
    given = LEVELS.clone()
    sigma_lists.flip(given)
    sigma_lists.with_first(given, 99.0)
    sigma_lists.extended(given, 3, -1.0, 0.0, "cosine")
    assert torch.equal(given, LEVELS)


def test_a_list_of_one_sigma_has_no_step_to_extend() -> None:
    assert sigma_lists.extended(LEVELS[:1], 4, -1.0, 0.0, "linear").tolist() == [8]


def test_a_text_without_numbers_gives_no_sigmas() -> None:
    assert sigma_lists.parsed("none").tolist() == []


def test_flow_times_of_ltxv_are_moved_to_end_in_the_terminal_time() -> None:
    plain = sigma_ranges.shifted_flow_times(8, sigma_ranges.ltxv_mu(4096))
    moved = sigma_ranges.stretched(plain, 0.1)
    assert moved[0].item() == pytest.approx(1)
    assert moved[-1] == plain[-1] == 0
    assert moved[-2] == pytest.approx(0.1)
    assert (moved.diff() < 0).all()


def test_a_single_flow_time_is_not_moved() -> None:
    assert sigma_ranges.stretched(torch.tensor([1.0, 0.0]), 0.1).tolist() == [1, 0]


def test_flow_times_of_ltxv_bend_more_for_longer_videos() -> None:
    short, long = (
        sigma_ranges.shifted_flow_times(8, sigma_ranges.ltxv_mu(tokens)) for tokens in (1024, 4096)
    )
    assert short[4] == pytest.approx(torch.tensor(0.95).sigmoid().item())  # half way: 1/u - 1 is 1
    assert long[4] == pytest.approx(torch.tensor(2.05).sigmoid().item())


@pytest.mark.parametrize("steps", [4, 50])
@pytest.mark.parametrize("side", [512, 2048])
def test_flow_times_of_flux2_bend_as_its_authors_fitted_them(steps: int, side: int) -> None:
    pipeline = pytest.importorskip("diffusers.pipelines.flux2.pipeline_flux2")
    mu = pipeline.compute_empirical_mu(side * side // 256, steps)
    expected = sigma_ranges.shifted_flow_times(steps, mu)
    torch.testing.assert_close(sigma_ranges.flux2(steps, side, side), expected)


def test_a_published_list_is_taken_as_it_is_for_its_own_number_of_steps() -> None:
    sigmas = tabulated.align_your_steps("SVD", 10)
    assert sigmas[:3].tolist() == pytest.approx([700, 54.5, 15.886])
    assert (len(sigmas), sigmas[-1].item()) == (11, 0)
