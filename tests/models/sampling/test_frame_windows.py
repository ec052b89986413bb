"""Windows of frames: where they are, that none is left out, and what counts in them."""

from __future__ import annotations

import pytest
import torch

from models.errors import InvalidInput
from models.sampling.frame_windows import SCHEDULES, WEIGHTS, FrameWindows, shuffled_noise


def windows(length: int = 4, overlap: int = 1, **more: object) -> FrameWindows:
    return FrameWindows(length=length, overlap=overlap, **more)  # type: ignore[arg-type]


def spans(found: list[tuple[int, ...]]) -> list[tuple[int, int]]:
    return [(window[0], window[-1]) for window in found]


def test_static_windows_follow_on_each_other_and_end_with_the_film() -> None:
    assert spans(windows().at(12, 0)) == [(0, 3), (3, 6), (6, 9), (8, 11)]
    assert windows().at(12, 5) == windows().at(12, 0)


def test_batched_windows_do_not_overlap() -> None:
    assert spans(windows(schedule="batched").at(10, 0)) == [(0, 3), (4, 7), (8, 9)]


def test_uniform_windows_move_from_step_to_step() -> None:
    uniform = windows(schedule="standard_uniform")
    assert spans(uniform.at(12, 0)) == [(0, 3), (3, 6), (6, 9), (8, 11)]
    # Half of the film further on; what would reach beyond the end is moved back.
    assert set(spans(uniform.at(12, 1))) >= {(6, 9), (8, 11)}
    assert uniform.at(12, 1) != uniform.at(12, 0)


def test_looped_windows_go_on_at_the_beginning() -> None:
    looped = windows(schedule="looped_uniform", closed_loop=True)
    assert looped.at(12, 0) == [
        (0, 1, 2, 3), (3, 4, 5, 6), (6, 7, 8, 9), (9, 10, 11, 0),
    ]  # fmt: skip


def test_strides_add_windows_of_frames_further_apart() -> None:
    strided = windows(schedule="looped_uniform", stride=2, closed_loop=True).at(16, 0)
    assert (0, 1, 2, 3) in strided and (0, 2, 4, 6) in strided


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("closed_loop", [False, True])
@pytest.mark.parametrize(
    ("length", "overlap", "stride", "frames"),
    [(4, 0, 1, 5), (4, 3, 1, 9), (16, 4, 1, 33), (16, 4, 3, 100), (3, 2, 5, 7), (1, 0, 1, 4)],
)
def test_every_frame_is_in_a_window_at_every_step(
    schedule: str, closed_loop: bool, length: int, overlap: int, stride: int, frames: int
) -> None:
    made = windows(length, overlap, stride=stride, schedule=schedule, closed_loop=closed_loop)
    for step in range(9):
        found = made.at(frames, step)
        assert {frame for window in found for frame in window} == set(range(frames))
        assert all(len(window) <= length for window in found)
        assert len(set(found)) == len(found)


def test_a_short_film_is_one_window() -> None:
    for schedule in SCHEDULES:
        assert windows(schedule=schedule).at(3, 1) == [(0, 1, 2)]


def test_windows_that_do_not_move_on_are_refused() -> None:
    with pytest.raises(InvalidInput, match="4 frames cannot overlap by 4"):
        windows(4, 4)
    with pytest.raises(InvalidInput, match="no schedule"):
        windows(schedule="other")


def test_frames_count_by_their_place() -> None:
    inside = tuple(range(4, 9))

    def of(name: str, window: tuple[int, ...] = inside) -> list[float]:
        found: list[float] = WEIGHTS[name](window, 20, 2).tolist()
        return found

    assert of("flat") == [1] * 5
    assert of("pyramid") == [1, 2, 3, 2, 1]
    assert of("pyramid", inside[:4]) == [1, 2, 2, 1]
    assert of("relative") == pytest.approx([0.01, 0.5, 1, 0.5, 0.01], abs=0.01)
    assert of("overlap-linear") == pytest.approx([0.01, 1, 1, 1, 0.01])
    assert of("overlap-linear", (0, 1, 2)) == pytest.approx([1, 1, 0.01])
    assert of("overlap-linear", (18, 19)) == pytest.approx([0.01, 1])


def test_later_noise_is_earlier_noise_in_another_order() -> None:
    noise = torch.randn(1, 4, 10, 2, 2)
    found = shuffled_noise(noise, 2, windows(4, 2), seed=3)
    assert torch.equal(found[:, :, :4], noise[:, :, :4])
    assert not torch.equal(found[:, :, 4:], noise[:, :, 4:])
    for frame in range(4, 10):
        first = 4 + (frame - 4) // 2 * 2 - 4  # of the window before
        earlier = found[:, :, first : first + 2]
        assert any(torch.equal(found[:, :, frame], earlier[:, :, n]) for n in range(2))
    assert torch.equal(found, shuffled_noise(noise, 2, windows(4, 2), seed=3))
