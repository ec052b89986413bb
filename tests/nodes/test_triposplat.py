"""Things cut out of pictures for TripoSplat."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.errors import InvalidInput
from nodes.context import Interrupted
from nodes.triposplat import TripoSplatPreprocessImage
from tests.nodes.context import RecordingReporter, node_context


def _square(left: int, top: int, side: int) -> torch.Tensor:
    mask = torch.zeros(1, 200, 300)
    mask[:, top : top + side, left : left + side] = 1
    return mask


@pytest.mark.parametrize(("left", "top"), [(120, 60), (0, 0), (200, 100)])
def test_a_thing_lies_in_the_middle_of_a_black_square(left: int, top: int) -> None:
    image, mask = torch.full((1, 200, 300, 3), 0.8), _square(left, top, 100)
    (cut,) = TripoSplatPreprocessImage().run(image, mask, 0, 480)
    assert cut.shape == (1, 480, 480, 3)
    border = round(480 / 1.2 * 0.1)  # the square is 1.2 times the thing
    torch.testing.assert_close(
        cut[0, 240, border + 14 : -border - 14],
        torch.full((480 - 2 * border - 28, 3), 0.8),
        atol=1e-2,
        rtol=0,
    )
    for edge in (cut[0, : border - 14], cut[0, -border + 14 :], cut[0, :, : border - 14]):
        assert edge.max() == 0


def test_the_mask_is_eroded() -> None:
    image, mask = torch.ones(1, 200, 300, 3), _square(120, 60, 100)
    mask[:, 10, 10] = 1  # a speck, which goes
    (cut,) = TripoSplatPreprocessImage().run(image, mask, 2, 512)
    shown = (cut[0, :, :, 0] > 0.5).nonzero()
    extent = shown.amax(dim=0) - shown.amin(dim=0) + 1
    assert ((extent - round(512 / 1.2)).abs() <= 2).all()


def test_the_size_goes_down_to_a_multiple_of_16() -> None:
    image, mask = torch.ones(1, 200, 300, 4), _square(10, 10, 50)
    (cut,) = TripoSplatPreprocessImage().run(image.repeat(2, 1, 1, 1), mask, 1, 271)
    assert cut.shape == (2, 256, 256, 3)


def test_an_empty_mask_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="the mask is empty"):
        TripoSplatPreprocessImage().run(torch.ones(1, 50, 50, 3), torch.zeros(1, 50, 50), 1, 256)


def test_a_mask_that_erosion_takes_whole_is_empty() -> None:
    mask = _square(20, 20, 3)
    with pytest.raises(InvalidInput, match="the mask is empty"):
        TripoSplatPreprocessImage().run(torch.ones(1, 200, 300, 3), mask, 2, 256)


def test_an_interruption_is_heeded_between_pictures(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    reporter.interrupted = True
    picture, mask = torch.ones(2, 16, 16, 3), torch.ones(1, 16, 16)
    with node_context(tmp_path, reporter=reporter), pytest.raises(Interrupted):
        TripoSplatPreprocessImage().run(picture, mask, 0, 256)
