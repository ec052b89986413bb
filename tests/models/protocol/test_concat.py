"""Models that see a mask or a picture beside the noisy latent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.load import Checkpoint, load_checkpoint
from models.memory import Policy
from models.protocol.concat import EditModel, InpaintModel
from models.protocol.sampling import sample_latent
from tests.models.conftest import policy
from tests.models.tiny import TinyModel, save_checkpoint

__all__ = ["policy"]


@pytest.fixture(scope="module", params=[9, 8])
def model(request: Any, tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> Checkpoint:
    path: Path = tmp_path_factory.mktemp("concat") / "m.safetensors"
    save_checkpoint(path, TinyModel(in_channels=request.param))
    return load_checkpoint(path, policy)


def sampled(model: Checkpoint, mask: Tensor | None = None, **options: Any) -> Tensor:
    assert model.text is not None
    latent: dict[str, Any] = {"samples": torch.full((1, 4, 8, 8), 0.5)}
    if mask is not None:
        latent["noise_mask"] = mask
    cond = [[words, said | options] for words, said in model.text.encode_text("a circle")]
    result = sample_latent(
        model.model, latent, seed=1, steps=2, cfg=1.0, sampler_name="euler", scheduler="normal",
        positive=cond, negative=cond,
    )  # fmt: skip
    samples: Tensor = result["samples"]
    return samples


def test_a_picture_that_is_seen_changes_the_result(model: Checkpoint) -> None:
    plain = sampled(model)
    assert plain.isfinite().all()
    mask = torch.ones(1, 1, 64, 64)
    picture = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    seen = sampled(model, concat_latent_image=picture, concat_mask=mask)
    assert not torch.allclose(seen, plain, atol=1e-3)
    if isinstance(model.model.model, InpaintModel):
        less = sampled(model, concat_latent_image=picture, concat_mask=mask * 0)
        assert not torch.allclose(seen, less, atol=1e-3)


def test_channels_are_in_the_order_of_their_training(model: Checkpoint) -> None:
    base = model.model.model
    noise, picture = torch.zeros(2, 4, 8, 8), torch.rand(1, 4, 4, 4)
    said = {"noise": noise, "concat_latent_image": picture, "denoise_mask": torch.ones(1, 16, 16)}
    channels = base.concat_cond(**said)
    assert channels is not None
    if isinstance(base, EditModel):
        assert channels.shape == (2, 4, 8, 8)
        assert torch.allclose(channels.mean(), picture.mean(), atol=1e-4)
    else:
        assert channels.shape == (2, 5, 8, 8)
        assert torch.all(channels[:, 0] == 1)
        assert torch.allclose(channels[:, 1:].mean(), picture.mean() * 0.18215, atol=1e-4)


def test_a_picture_by_another_vae_is_refused(model: Checkpoint) -> None:
    picture, mask = torch.zeros(1, 16, 8, 8), torch.ones(1, 1, 64, 64)
    with pytest.raises(InvalidInput, match="the VAE of the model"):
        sampled(model, concat_latent_image=picture, concat_mask=mask)


def test_networks_for_other_pictures_are_refused(tmp_path: Path, policy: Policy) -> None:
    path = save_checkpoint(tmp_path / "upscaler.safetensors", TinyModel(in_channels=7))
    with pytest.raises(InvalidInput, match="7 channels"):
        load_checkpoint(path, policy)
