"""ControlNets of Stable Diffusion 3: what they add is what diffusers computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import SD3ControlNetModel
from torch import Tensor

from models.control.load import control_of
from models.control.mmdit import SD3ControlNet
from models.errors import InvalidInput, UnsupportedLayout
from models.handle import ModelHandle
from models.load import Checkpoint, unet_of
from models.memory import Policy
from models.protocol.sampling import sample_latent
from models.weights import Weights, open_weights
from nodes.controls import ControlNetApplyAdvanced, ControlNetInpaintingAliMamaApply
from tests.models import tiny_sd3
from tests.models.tiny_sd3 import CONFIG, MEDIUM_35

PICTURE = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))
OFFICIAL: dict[str, Any] = {
    "joint_attention_dim": None, "use_pos_embed": False, "qk_norm": None,
    "dual_attention_layers": (),
}  # fmt: skip


class Vae:
    """Encodes pictures as their colours and darkness, over and over."""

    downscale = 8

    def encode(self, pixels: Tensor) -> Tensor:
        """[B, H, W, 3] to [B, 16, H / 8, W / 8]."""
        small = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8)
        return torch.cat([small, 1 - small.mean(1, keepdim=True)], dim=1).repeat(1, 4, 1, 1)


def network(**changes: Any) -> SD3ControlNetModel:
    with torch.random.fork_rng():
        torch.manual_seed(6)
        module = SD3ControlNetModel(**(MEDIUM_35 | {"num_layers": 2} | changes)).eval()
        module.requires_grad_(False)
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    return module


def control(module: SD3ControlNetModel, policy: Policy) -> SD3ControlNet:
    tensors = dict(module.state_dict())
    metadata = {"darkroom.config": '{"unet": {"num_attention_heads": 2}}'}
    made = control_of(Weights(path=Path("c"), tensors=tensors, metadata=metadata), policy)
    assert isinstance(made, SD3ControlNet)
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> ModelHandle:
    path = tmp_path_factory.mktemp("sd3") / "a.safetensors"
    tiny_sd3.save_transformer(path, tiny_sd3.transformer(CONFIG))
    return unet_of(open_weights(path), policy)


def prompt(seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(1, tiny_sd3.POOLED, generator=generator)
    return [[torch.randn(1, 7, tiny_sd3.PROMPT, generator=generator), {"pooled_output": pooled}]]


def sampled(model: ModelHandle, positive: Any, negative: Any, cfg: float) -> Tensor:
    result = sample_latent(
        model,
        {"samples": torch.zeros(1, 16, 8, 12)},
        seed=1,
        steps=1,
        cfg=cfg,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=negative,
    )
    in_model_space: Tensor = model.latent_format.scale_in(result["samples"])
    return in_model_space


def expected(
    model: ModelHandle, module: SD3ControlNetModel, hint: Tensor, strength: float, **given: Any
) -> Tensor:
    """The clean latent that is predicted for pure noise, by diffusers alone."""
    torch.manual_seed(1)
    noise, [[context, options]] = torch.randn(1, 16, 8, 12), prompt(1)
    time = torch.tensor([1000.0])
    found = module(
        noise, hint, conditioning_scale=strength, timestep=time, return_dict=False, **given
    )[0]
    inputs = {"x": noise, "timesteps": time, "context": context, "y": options["pooled_output"]}
    velocity = tiny_sd3.evaluated(
        tiny_sd3.transformer(CONFIG), inputs, block_controlnet_hidden_states=found
    )
    return noise - velocity


def test_a_network_that_sees_the_prompt_adds_to_every_block(
    model: ModelHandle, policy: Policy
) -> None:
    module = network()
    sides = ControlNetApplyAdvanced().run(
        prompt(1), prompt(2), control(module, policy), PICTURE, 0.7, 0.0, 1.0, vae=Vae()
    )
    # InstantX: no shift, and no pooled prompt.
    hint = Vae().encode(PICTURE) * 1.5305
    wanted = expected(
        model, module, hint, 0.7,
        encoder_hidden_states=prompt(1)[0][0], pooled_projections=torch.zeros(1, tiny_sd3.POOLED),
    )  # fmt: skip
    found = sampled(model, *sides, cfg=1.0)
    assert torch.allclose(found, wanted, atol=1e-4)
    assert not torch.allclose(found, sampled(model, prompt(1), prompt(2), cfg=1.0), atol=1e-2)


def test_an_official_network_takes_positions_from_the_model(
    model: ModelHandle, policy: Policy
) -> None:
    module = network(**OFFICIAL)
    sides = ControlNetApplyAdvanced().run(
        prompt(1), prompt(2), control(module, policy), PICTURE, 1.0, 0.0, 1.0, vae=Vae()
    )
    module.pos_embed = module._get_pos_embed_from_transformer(tiny_sd3.transformer(CONFIG))
    hint = (Vae().encode(PICTURE) - 0.0609) * 1.5305
    wanted = expected(model, module, hint, 1.0, pooled_projections=prompt(1)[0][1]["pooled_output"])
    for _ in range(2):  # what a run has made serves the next one
        assert torch.allclose(sampled(model, *sides, cfg=1.0), wanted, atol=1e-4)


def test_a_network_for_inpainting_sees_the_mask(model: ModelHandle, policy: Policy) -> None:
    module = network(extra_conditioning_channels=1)
    mask = torch.zeros(1, 64, 96)
    mask[:, :, 40:] = 1.0
    made = control(module, policy)
    assert made.concat_mask
    sides = ControlNetInpaintingAliMamaApply().run(
        prompt(1), prompt(2), made, Vae(), PICTURE, mask, 1.0, 0.0, 1.0
    )
    kept = 1 - mask[..., None]
    known = 1 - mask[:, None, ::8, ::8]
    hint = torch.cat([(Vae().encode(PICTURE * kept) - 0.0609) * 1.5305, known], dim=1)
    wanted = expected(
        model, module, hint, 1.0,
        encoder_hidden_states=prompt(1)[0][0], pooled_projections=torch.zeros(1, tiny_sd3.POOLED),
    )  # fmt: skip
    assert torch.allclose(sampled(model, *sides, cfg=1.0), wanted, atol=1e-4)


def test_both_sides_and_chained_networks_go_through_one_run(
    model: ModelHandle, policy: Policy
) -> None:
    made, sides = control(network(), policy), (prompt(1), prompt(2))
    once = ControlNetApplyAdvanced().run(*sides, made, PICTURE, 0.8, 0.0, 1.0, vae=Vae())
    twice = ControlNetApplyAdvanced().run(*sides, made, PICTURE, 0.4, 0.0, 1.0, vae=Vae())
    twice = ControlNetApplyAdvanced().run(*twice, made, PICTURE, 0.4, 0.0, 1.0, vae=Vae())
    both = sampled(model, *once, cfg=3.0)
    assert torch.allclose(sampled(model, *twice, cfg=3.0), both, atol=1e-4)
    positive, negative = (sampled(model, [pair], [pair], cfg=1.0) for [pair] in once)
    assert torch.allclose(both, negative + 3.0 * (positive - negative), atol=1e-4)


def test_a_network_without_a_vae_says_how_to_apply_it(model: ModelHandle, policy: Policy) -> None:
    sides = ControlNetApplyAdvanced().run(
        prompt(1), prompt(2), control(network(), policy), PICTURE, 1.0, 0.0, 1.0
    )
    with pytest.raises(InvalidInput, match="apply it with a VAE"):
        sampled(model, *sides, cfg=1.0)


def test_other_models_are_refused(tiny: Checkpoint, policy: Policy) -> None:
    made = control(network(), policy).set_cond_hint(PICTURE.movedim(-1, 1), vae=Vae())
    with pytest.raises(InvalidInput, match="for Stable Diffusion 3"):
        made.pre_run(tiny.model.model, lambda percent: percent)


def test_a_network_for_another_width_is_refused(model: ModelHandle, policy: Policy) -> None:
    wide = network(**OFFICIAL, attention_head_dim=16)
    made = control(wide, policy).set_cond_hint(PICTURE.movedim(-1, 1), vae=Vae())
    with pytest.raises(UnsupportedLayout, match="another width"):
        made.pre_run(model.model, lambda percent: percent)


def test_positions_are_those_of_the_model_that_runs(
    model: ModelHandle, tmp_path: Path, policy: Policy
) -> None:
    made = control(network(**OFFICIAL), policy)
    other_file = tiny_sd3.save_transformer(
        tmp_path / "b.safetensors", tiny_sd3.transformer(CONFIG | {"pos_embed_max_size": 6})
    )

    def side(handle: ModelHandle) -> int:
        made.pre_run(handle.model, lambda percent: percent)
        return int(made.control_model.config.pos_embed_max_size)

    assert [side(model), side(unet_of(open_weights(other_file), policy)), side(model)] == [8, 6, 8]
