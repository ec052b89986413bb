"""Nodes around models: what they do with a tiny checkpoint, and without its parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.load import Checkpoint
from models.memory import Policy
from nodes.conditioning import CLIPSetLastLayer, CLIPTextEncode
from nodes.context import Interrupted, NodeSettings, current_context
from nodes.missing_parts import PartMissingHere
from nodes.pixel_space import PixelSpaceVae
from nodes.sampling import KSampler
from nodes.vae import VAEDecode, VAEEncode, VAEEncodeForInpaint
from tests.models.conftest import policy, tiny, tiny_file
from tests.nodes.context import RecordingReporter, node_context

__all__ = ["policy", "tiny", "tiny_file"]


def sample(tiny: Checkpoint) -> torch.Tensor:
    """A latent of two steps."""
    (positive,) = CLIPTextEncode().run(tiny.text, "a circle")
    latent = {"samples": torch.zeros(1, 4, 4, 4)}
    (result,) = KSampler().run(tiny.model, 1, 2, 2.0, "euler", "normal", positive, positive, latent)
    samples: torch.Tensor = result["samples"]
    return samples


def test_sampling_reports_every_step_and_previews_only_if_asked(
    tmp_path: Path, tiny: Checkpoint
) -> None:
    for method, has_picture in (("none", False), ("latent2rgb", True)):
        reporter = RecordingReporter()
        settings = NodeSettings(preview_method=method)
        with node_context(tmp_path, settings=settings, reporter=reporter):
            sample(tiny)
        assert reporter.reports == [("1", 1, 2), ("1", 2, 2)]
        pictures = [preview() for preview in reporter.previews if preview is not None]
        assert len(pictures) == (2 if has_picture else 0)


def test_sampling_stops_when_it_is_interrupted(tmp_path: Path, tiny: Checkpoint) -> None:
    reporter = RecordingReporter()
    reporter.interrupted = True
    with node_context(tmp_path, reporter=reporter), pytest.raises(Interrupted):
        sample(tiny)


def test_clip_skip_changes_the_conditioning(tiny: Checkpoint) -> None:
    (skipping,) = CLIPSetLastLayer().run(tiny.text, -2)
    (plain,), (other,) = (CLIPTextEncode().run(clip, "a") for clip in (tiny.text, skipping))
    assert not torch.equal(plain[0][0], other[0][0])


def test_inpainting_greys_the_masked_part_and_grows_the_mask() -> None:
    pixels = torch.ones(1, 16, 16, 3)
    mask = torch.zeros(1, 16, 16)
    mask[:, 8:, :] = 1
    (latent,) = VAEEncodeForInpaint().run(PixelSpaceVae(), pixels, mask, 4)
    decoded = PixelSpaceVae().decode(latent["samples"])
    assert torch.all(decoded[:, :8] == 1)
    assert torch.all(decoded[:, 8:] == 0.5)
    assert latent["noise_mask"].shape == (1, 1, 16, 16)
    assert latent["noise_mask"][0, 0, :, 0].tolist() == [0.0] * 7 + [1.0] * 9


def test_pixel_space_keeps_pictures() -> None:
    picture = torch.rand(1, 5, 7, 3)
    (latent,) = VAEEncode().run(PixelSpaceVae(), picture)
    (back,) = VAEDecode().run(PixelSpaceVae(), latent)
    assert torch.allclose(back, picture, atol=1e-6)


def test_a_missing_part_is_named() -> None:
    with pytest.raises(PartMissingHere, match="text encoder"):
        CLIPTextEncode().run(None, "a")
    with pytest.raises(PartMissingHere, match="VAE"):
        VAEDecode().run(None, {"samples": torch.zeros(1, 4, 2, 2)})


def test_a_context_without_models_says_so(tmp_path: Path, policy: Policy) -> None:
    with node_context(tmp_path), pytest.raises(RuntimeError, match="policy"):
        _ = current_context().policy
    with node_context(tmp_path, policy=policy):
        assert current_context().policy is policy
