"""FreeU against its formulas, evaluated with numpy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.unet_patches.freeu import FreeU, activity


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def filtered(skip: Tensor, scale: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The four frequencies around 0 of each channel scaled."""
    spectrum = np.fft.fftshift(np.fft.fft2(skip.numpy().astype(np.float64)), axes=(-2, -1))
    row, column = skip.shape[-2] // 2, skip.shape[-1] // 2
    spectrum[..., row - 1 : row + 1, column - 1 : column + 1] *= scale
    return np.fft.ifft2(np.fft.ifftshift(spectrum, axes=(-2, -1))).real


def test_half_of_the_backbone_is_scaled_and_the_skip_is_filtered() -> None:
    latent, skip = normal(1, 2, 8, 6, 6), normal(2, 2, 3, 6, 6)
    scaled, changed = FreeU(scales={8: (1.5, 0.25)}, by_content=False)(latent, skip, {})
    assert torch.equal(scaled[:, :4], latent[:, :4] * 1.5)
    assert torch.equal(scaled[:, 4:], latent[:, 4:])
    np.testing.assert_allclose(changed.numpy(), filtered(skip, 0.25), atol=1e-5)


def test_version_two_scales_by_the_mean_of_the_channels() -> None:
    latent, skip = normal(1, 2, 8, 6, 6), normal(2, 2, 3, 6, 6)
    scaled, _ = FreeU(scales={8: (1.5, 0.25)}, by_content=True)(latent, skip, {})
    for item in range(2):
        mean = latent[item].numpy().mean(axis=0)
        factor = 1 + 0.5 * (mean - mean.min()) / (mean.max() - mean.min())
        expected = latent[item, :4].numpy() * factor
        np.testing.assert_allclose(scaled[item, :4].numpy(), expected, rtol=1e-5)


def test_other_widths_pass_as_they_are() -> None:
    latent, skip = normal(1, 1, 4, 6, 6), normal(2, 1, 3, 6, 6)
    assert FreeU(scales={8: (1.5, 0.25)}, by_content=True)(latent, skip, {}) == (latent, skip)


def test_activity_goes_from_nothing_to_all() -> None:
    found = activity(normal(1, 2, 8, 6, 6))
    assert found.shape == (2, 1, 6, 6)
    assert found.amin(dim=(1, 2, 3)).tolist() == [0.0, 0.0]
    assert found.amax(dim=(1, 2, 3)).tolist() == [1.0, 1.0]
