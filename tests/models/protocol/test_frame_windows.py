"""Runs in windows of frames."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.load import Checkpoint
from models.protocol.control import Control, ControlBase
from nodes.frame_windows import ContextWindowsManual, WanContextWindowsManual
from tests.models.protocol.test_sampling import latent, prompt, run

FRAMES = 6


def windowed(model: Any, length: int = 4, overlap: int = 2, **changes: Any) -> Any:
    options: dict[str, Any] = {
        "context_schedule": "standard_static", "context_stride": 1, "closed_loop": False,
        "fuse_method": "pyramid", "dim": 0, "freenoise": False,
    } | changes  # fmt: skip
    (made,) = ContextWindowsManual().run(model, length, overlap, **options)
    return made


def film() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(4)
    return {"samples": torch.randn(FRAMES, 4, 8, 8, generator=generator)}


@pytest.mark.parametrize("method", ["pyramid", "relative", "flat", "overlap-linear"])
def test_where_frames_do_not_see_each_other_windows_change_nothing(
    tiny: Checkpoint, method: str
) -> None:
    plain = run(tiny.model, film())
    found = run(windowed(tiny.model, fuse_method=method), film())
    torch.testing.assert_close(found, plain, rtol=1e-3, atol=1e-3)


def test_each_frame_keeps_what_is_said_of_it(tiny: Checkpoint) -> None:
    contexts = torch.randn(FRAMES, 77, 16, generator=torch.Generator().manual_seed(1))
    masks = torch.rand(FRAMES, 8, 8, generator=torch.Generator().manual_seed(2))
    options = {"positive": [[contexts, {"mask": masks}], *prompt(3)]}
    plain = run(tiny.model, film(), **options)
    found = run(windowed(tiny.model), film(), **options)
    torch.testing.assert_close(found, plain, rtol=1e-3, atol=1e-3)


class Watching(ControlBase):
    """Adds nothing, and remembers the hints it was asked with."""

    hints: list[list[float]]

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int,
        transformer_options: dict[str, Any],
    ) -> Control | None:  # fmt: skip
        assert self.cond_hint_original is not None
        assert len(x_noisy) == batched_number * len(self.cond_hint_original)
        self.hints.append(self.cond_hint_original.flatten().tolist())
        return None


def test_each_window_has_the_hints_of_its_frames_once_for_both_sides(tiny: Checkpoint) -> None:
    control = Watching()
    control.hints = []
    control.set_cond_hint(torch.arange(float(FRAMES)).reshape(-1, 1, 1, 1))
    sides = {name: prompt(n, control=control) for n, name in enumerate(("positive", "negative"))}
    run(windowed(tiny.model), film(), steps=1, **sides)
    assert control.hints == [[0, 1, 2, 3], [2, 3, 4, 5]]


def test_shared_noise_changes_the_frames_beyond_the_first_window(tiny: Checkpoint) -> None:
    plain = run(windowed(tiny.model), film())
    shared = run(windowed(tiny.model, freenoise=True), film())
    torch.testing.assert_close(shared[:4], plain[:4], rtol=1e-3, atol=1e-3)
    assert not torch.allclose(shared[4:], plain[4:], atol=1e-2)


def test_a_run_that_fits_into_a_window_is_as_ever(tiny: Checkpoint) -> None:
    plain = run(tiny.model, latent())
    torch.testing.assert_close(run(windowed(tiny.model), latent()), plain, rtol=0, atol=1e-5)


def test_windows_put_in_again_replace_the_former_ones(tiny: Checkpoint) -> None:
    twice = windowed(windowed(tiny.model, 2, 1))
    assert [len(found) for found in twice.wrappers["calc_cond_batch"].values()] == [1]


def test_lengths_for_wan_are_in_frames_of_the_film(tiny: Checkpoint) -> None:
    (made,) = WanContextWindowsManual().run(
        tiny.model, 81, 30, context_schedule="standard_static", context_stride=1,
        closed_loop=False, fuse_method="pyramid", freenoise=False,
    )  # fmt: skip
    [predict] = made.get_all_wrappers("calc_cond_batch")
    windows = predict.__self__.windows
    assert (windows.length, windows.overlap, predict.__self__.dim) == (21, 8, 2)
    with pytest.raises(InvalidInput, match="overlap"):
        WanContextWindowsManual().run(
            tiny.model, 5, 30, context_schedule="batched", context_stride=1, closed_loop=False,
            fuse_method="flat", freenoise=False,
        )  # fmt: skip
