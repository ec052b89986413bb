"""Guidance of one model away from another one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.load import Checkpoint
from models.protocol.custom import sample_with_guider
from models.protocol.guider import CFGGuider
from models.protocol.k_samplers import sampler_object
from models.protocol.noise_objects import RandomNoise
from models.protocol.two_models import DualModelGuider
from models.sampling.schedulers import sigmas_for_run
from models.unet_patches.attention_scale import scaled_projections
from nodes.custom_sampling.guiders import DualModelGuider as Node
from nodes.guidance import CFGOverride
from tests.models.protocol.test_sampling import latent, prompt

POSITIVE, NEGATIVE = prompt(1), prompt(2)


def changed(tiny: Checkpoint) -> Any:
    """A clone with other weights."""
    names = tiny.model.network.names()
    return tiny.model.with_patches(scaled_projections(names, {"attn2.to_out.0": 2.0}))


def sampled(tiny: Checkpoint, guider: CFGGuider) -> Tensor:
    sigmas = sigmas_for_run(tiny.model.schedule, "normal", 3, sampler_name="euler")
    output, _ = sample_with_guider(
        guider, RandomNoise(11), sampler_object("euler"), sigmas, latent(), lambda *_: None
    )
    found: Tensor = output["samples"]
    return found


def plain(tiny: Checkpoint, model: Any, cfg: float) -> Tensor:
    guider = CFGGuider(model)
    guider.set_conds(POSITIVE, NEGATIVE)
    guider.set_cfg(cfg)
    return sampled(tiny, guider)


def dual(tiny: Checkpoint, *models: Any, cfg: float) -> Tensor:
    guider = DualModelGuider(*models)
    guider.set_conds(POSITIVE, NEGATIVE)
    guider.set_cfg(cfg)
    return sampled(tiny, guider)


def test_with_one_model_it_is_classifier_free_guidance(tiny: Checkpoint) -> None:
    expected = plain(tiny, tiny.model, 4.0)
    torch.testing.assert_close(
        dual(tiny, tiny.model, tiny.model, cfg=4.0), expected, rtol=1e-3, atol=2e-3
    )
    (made,) = Node().run(tiny.model, POSITIVE, 4.0, negative=NEGATIVE)
    torch.testing.assert_close(sampled(tiny, made), expected, rtol=1e-3, atol=2e-3)


def test_a_scale_of_0_leaves_the_second_model_and_1_the_first(tiny: Checkpoint) -> None:
    other = changed(tiny)
    second = plain(tiny, other, 0.0)
    assert not torch.allclose(second, plain(tiny, tiny.model, 0.0), atol=1e-3)
    torch.testing.assert_close(dual(tiny, tiny.model, other, cfg=0.0), second, rtol=1e-3, atol=2e-3)
    first = plain(tiny, tiny.model, 1.0)
    torch.testing.assert_close(dual(tiny, tiny.model, other, cfg=1.0), first, rtol=1e-3, atol=2e-3)


def test_the_first_model_is_as_before(tiny: Checkpoint) -> None:
    before = plain(tiny, tiny.model, 4.0)
    dual(tiny, tiny.model, changed(tiny), cfg=4.0)
    torch.testing.assert_close(plain(tiny, tiny.model, 4.0), before, rtol=0, atol=0)


def test_a_scale_of_its_own_holds_in_its_part_of_the_run(tiny: Checkpoint) -> None:
    (whole,) = CFGOverride().run(tiny.model, 2.0, 0.0, 1.0)
    torch.testing.assert_close(
        plain(tiny, whole, 7.0), plain(tiny, tiny.model, 2.0), rtol=1e-3, atol=2e-3
    )
    (part,) = CFGOverride().run(tiny.model, 2.0, 0.0, 0.3)
    found = plain(tiny, part, 7.0)
    assert not torch.allclose(found, plain(tiny, tiny.model, 7.0), atol=1e-3)
    assert not torch.allclose(found, plain(tiny, tiny.model, 2.0), atol=1e-3)


def test_of_several_scales_the_last_one_counts(tiny: Checkpoint) -> None:
    (first,) = CFGOverride().run(tiny.model, 9.0, 0.0, 1.0)
    (both,) = CFGOverride().run(first, 2.0, 0.0, 1.0)
    torch.testing.assert_close(
        plain(tiny, both, 7.0), plain(tiny, tiny.model, 2.0), rtol=1e-3, atol=2e-3
    )
