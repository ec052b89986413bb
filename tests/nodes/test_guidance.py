"""Nodes that change guidance, on a tiny model: what they say and what becomes of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.guidance.rescaled import norm_of_positive
from models.handle import ModelHandle
from models.load import Checkpoint
from models.protocol.sampling import sample_latent
from nodes import guidance, unet_patches
from nodes.latent_operations import (
    LatentApplyOperation,
    LatentApplyOperationCFG,
    LatentOperationTonemapReinhard,
)
from tests.models.conftest import policy, tiny, tiny_file

__all__ = ["policy", "tiny", "tiny_file"]

Patch = Callable[[ModelHandle], Any]


def prompt(seed: int) -> Conditioning:
    return [[torch.randn(1, 77, 16, generator=torch.Generator().manual_seed(seed)), {}]]


def sample(model: Any, frames: int = 1, **changes: Any) -> Tensor:
    options: dict[str, Any] = {
        "seed": 3, "steps": 3, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal",
        "positive": prompt(1), "negative": prompt(2), **changes,
    }  # fmt: skip
    latent = {"samples": torch.zeros(frames, 4, 8, 8)}
    result: Tensor = sample_latent(model, latent, **options)["samples"]
    return result


PATCHES: dict[str, Patch] = {
    "RescaleCFG": lambda m: guidance.RescaleCFG().run(m, 0.7),
    "APG": lambda m: guidance.APG().run(m, 0.5, 2.0, -0.5),
    "CFGNorm": lambda m: guidance.CFGNorm().run(m, 1.0),
    "CFGNorm before": lambda m: guidance.CFGNorm().run(m, 1.0, pre_cfg=True),
    "CFGZeroStar": lambda m: guidance.CFGZeroStar().run(m),
    "TCFG": lambda m: guidance.TCFG().run(m),
    "Mahiro": lambda m: guidance.Mahiro().run(m),
    "PerpNeg": lambda m: guidance.PerpNeg().run(m, prompt(5), 1.0),
    "RenormCFG": lambda m: guidance.RenormCFG().run(m, 100.0, 0.5),
    "FreSca": lambda m: guidance.FreSca().run(m, 1.0, 1.5, 2),
    "EpsilonScaling": lambda m: guidance.EpsilonScaling().run(m, 1.05),
    "TemporalScoreRescaling": lambda m: guidance.TemporalScoreRescaling().run(m, 0.9, 1.0),
    "FreeU": lambda m: unet_patches.FreeU().run(m, 1.1, 1.2, 0.9, 0.2),
    "FreeU_V2": lambda m: unet_patches.FreeU_V2().run(m, 1.3, 1.4, 0.9, 0.2),
    "PerturbedAttentionGuidance": lambda m: unet_patches.PerturbedAttentionGuidance().run(m, 3.0),
    "SelfAttentionGuidance": lambda m: unet_patches.SelfAttentionGuidance().run(m, 0.8, 2.0),
    "HyperTile": lambda m: unet_patches.HyperTile().run(m, 32, 1, 0, False),
    "TomePatchModel": lambda m: unet_patches.TomePatchModel().run(m, 0.5),
    "PatchModelAddDownscale": lambda m: unet_patches.PatchModelAddDownscale().run(
        m, 2, 2.0, 0.0, 0.35, True, "bicubic", "bicubic"
    ),
    "PatchModelAddDownscale before the skip": lambda m: unet_patches.PatchModelAddDownscale().run(
        m, 1, 1.5, 0.0, 1.0, False, "bilinear", "area"
    ),
    "LatentApplyOperationCFG": lambda m: LatentApplyOperationCFG().run(
        m, LatentOperationTonemapReinhard().run(1.0)[0]
    ),
}


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_acts_in_the_clone_only_and_alike_in_every_run(name: str, tiny: Checkpoint) -> None:
    plain = sample(tiny.model)
    (patched,) = PATCHES[name](tiny.model)
    first = sample(patched)
    assert torch.isfinite(first).all()
    assert not torch.allclose(first, plain, atol=1e-3)
    assert torch.equal(sample(patched), first)
    assert torch.equal(sample(tiny.model), plain)


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_bears_a_run_without_negative_side(name: str, tiny: Checkpoint) -> None:
    (patched,) = PATCHES[name](tiny.model)
    assert torch.isfinite(sample(patched, cfg=1.0)).all()


def test_later_frames_are_guided_more(tiny: Checkpoint) -> None:
    (linear,) = guidance.VideoLinearCFGGuidance().run(tiny.model, 1.0)
    (triangle,) = guidance.VideoTriangleCFGGuidance().run(tiny.model, 1.0)
    options: dict[str, Any] = {"frames": 3, "steps": 1}
    weak, strong = (sample(tiny.model, cfg=cfg, **options) for cfg in (1.0, 4.0))
    middle = sample(tiny.model, cfg=2.5, **options)
    expected = {
        "linear": [weak[0], middle[1], strong[2]],
        "triangle": [weak[0], strong[1], weak[2]],
    }
    for name, model in (("linear", linear), ("triangle", triangle)):
        frames = sample(model, cfg=4.0, **options)
        for frame, wanted in zip(frames, expected[name], strict=True):
            torch.testing.assert_close(frame, wanted, rtol=1e-4, atol=1e-3)


def test_an_early_level_is_not_guided_by_renorm(tiny: Checkpoint) -> None:
    (patched,) = guidance.RenormCFG().run(tiny.model, 0.0, 1.0)
    torch.testing.assert_close(sample(patched), sample(tiny.model, cfg=1.0), rtol=1e-4, atol=1e-3)


def test_a_norm_before_guidance_is_that_of_the_positive_side(tiny: Checkpoint) -> None:
    (unchanged,) = guidance.CFGNorm().run(tiny.model, 0.0, pre_cfg=True)
    torch.testing.assert_close(sample(unchanged), sample(tiny.model), rtol=1e-3, atol=2e-3)
    (same,) = guidance.CFGNorm().run(tiny.model, 1.0, pre_cfg=True)
    assert not torch.allclose(sample(same), sample(unchanged), atol=1e-2)
    torch.testing.assert_close(
        sample(same, cfg=1.0), sample(tiny.model, cfg=1.0), rtol=1e-3, atol=2e-3
    )
    positive, negative = torch.randn(2, 2, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    found = norm_of_positive(positive, negative, cfg=5.0, strength=1.0)
    torch.testing.assert_close(found.norm(dim=1), positive.norm(dim=1))
    guided = negative + 5 * (positive - negative)
    half = norm_of_positive(positive, negative, cfg=5.0, strength=0.5)
    torch.testing.assert_close(half, (found + guided) / 2)
    assert norm_of_positive(positive * 0, negative * 0, cfg=5.0, strength=1.0).eq(0).all()


def test_an_operation_acts_in_its_part_of_the_run_alone(tiny: Checkpoint) -> None:
    (tonemap,) = LatentOperationTonemapReinhard().run(1.0)

    def between(start: float, end: float) -> Tensor:
        return sample(LatentApplyOperationCFG().run(tiny.model, tonemap, start, end)[0])

    plain, whole = sample(tiny.model), between(0.0, 1.0)
    (always,) = LatentApplyOperationCFG().run(tiny.model, tonemap)
    assert torch.equal(whole, sample(always))
    torch.testing.assert_close(between(0.6, 0.61), plain, rtol=1e-3, atol=2e-3)
    for part in (between(0.0, 0.4), between(0.4, 1.0)):
        assert not torch.allclose(part, plain, atol=1e-3)
        assert not torch.allclose(part, whole, atol=1e-3)


def test_an_operation_changes_the_samples_of_a_latent_alone() -> None:
    latent = {"samples": torch.ones(1, 4, 2, 2), "noise_mask": torch.ones(1, 1, 2, 2)}
    (changed,) = LatentApplyOperation().run(latent, lambda latent: latent * 2)
    assert torch.equal(changed["samples"], torch.full((1, 4, 2, 2), 2.0))
    assert changed["noise_mask"] is latent["noise_mask"]
