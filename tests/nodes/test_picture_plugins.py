"""HEIC and JPEG XL, which Pillow reads with plug-ins.

The pictures are 24 x 16: red on the left and blue, half transparent, on the right; those that are
turned lie on their side, are opaque, and say so.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from nodes.loaded_images import DamagedPicture, NotAPicture, read_image, read_mask

PICTURES = Path(__file__).parent / "pictures"
RED, BLUE = torch.tensor([200, 40, 40]) / 255, torch.tensor([40, 40, 200]) / 255

_has_heif = find_spec("pi_heif") is not None or find_spec("pillow_heif") is not None
_has_jxl = find_spec("pillow_jxl") is not None

HEIC = pytest.param(
    "heic", marks=pytest.mark.skipif(not _has_heif, reason="pi-heif is not installed")
)
JXL = pytest.param(
    "jxl", marks=pytest.mark.skipif(not _has_jxl, reason="pillow-jxl-plugin is not installed")
)


@pytest.mark.parametrize("suffix", [HEIC, JXL])
def test_colours_and_transparency_are_read(suffix: str) -> None:
    image, mask = read_image(PICTURES / f"half_seen.{suffix}")
    assert image.shape == (1, 16, 24, 3)
    assert torch.allclose(image[0, 8, 4], RED, atol=0.03)
    assert torch.allclose(image[0, 8, 20], BLUE, atol=0.03)
    assert mask[0, :, :10].max() == pytest.approx(0, abs=0.01)
    assert mask[0, :, 14:].mean() == pytest.approx(127 / 255, abs=0.01)
    assert torch.equal(read_mask(PICTURES / f"half_seen.{suffix}", "alpha"), mask)


@pytest.mark.parametrize("suffix", [HEIC, JXL])
def test_pictures_come_upright(suffix: str) -> None:
    image, mask = read_image(PICTURES / f"turned.{suffix}")
    assert image.shape == (1, 24, 16, 3)
    assert torch.allclose(image[0, 4, 8], RED, atol=0.03)
    assert torch.allclose(image[0, 20, 8], BLUE, atol=0.03)
    assert mask.shape == (1, 64, 64)


@pytest.mark.parametrize("suffix", [HEIC, JXL])
def test_a_file_that_was_cut_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    cut = tmp_path / f"cut.{suffix}"
    whole = (PICTURES / f"half_seen.{suffix}").read_bytes()
    cut.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(
        (DamagedPicture, NotAPicture), match=rf"^(the picture )?'cut\.{suffix}' (?!.*cut)"
    ):
        read_image(cut, cut.name)
