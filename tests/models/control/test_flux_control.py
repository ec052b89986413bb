"""ControlNets of Flux: what they add is what diffusers computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxControlNetModel, FluxPipeline
from torch import Tensor, nn

from models.control.flux import FluxControlNet
from models.control.load import control_of
from models.errors import InvalidInput
from models.families.flux_transformer import in_original_layout
from models.handle import ModelHandle
from models.memory import Policy
from models.protocol.sampling import sample_latent
from models.weights import Weights
from nodes.controls import (
    ControlNetApplyAdvanced,
    ControlNetInpaintingAliMamaApply,
    SetUnionControlNetType,
)
from tests.models.control.test_mmdit_control import Vae
from tests.models.tiny_flux import TinyFlux

pytestmark = pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated")
TINY = TinyFlux(double=3, single=2)
PICTURE = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))
CONFIG: dict[str, Any] = {
    "in_channels": 64, "num_layers": 2, "num_single_layers": 1, "attention_head_dim": 32,
    "num_attention_heads": 2, "joint_attention_dim": 24, "pooled_projection_dim": 20,
    "guidance_embeds": True, "axes_dims_rope": (4, 14, 14),
}  # fmt: skip
XLABS = {"patch_size": 2, "num_single_layers": 0, "conditioning_embedding_channels": 16}


def network(seen: int = 64, **changes: Any) -> FluxControlNetModel:
    with torch.random.fork_rng():
        torch.manual_seed(6)
        module = FluxControlNetModel(**(CONFIG | changes)).eval()
        module.controlnet_x_embedder = nn.Linear(seen, 64)
        module.requires_grad_(False)
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    return module


def control(tensors: dict[str, Tensor], policy: Policy) -> FluxControlNet:
    made = control_of(Weights(path=Path("c"), tensors=tensors), policy)
    assert isinstance(made, FluxControlNet)
    return made


@pytest.fixture(scope="module")
def model() -> ModelHandle:
    return TINY.handle()


def prompt(seed: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(1, TINY.pooled, generator=generator)
    return [[torch.randn(1, 5, TINY.context, generator=generator), {"pooled_output": pooled}]]


def sampled(model: ModelHandle, positive: Any, negative: Any) -> Tensor:
    result = sample_latent(
        model, {"samples": torch.zeros(1, 16, 8, 12)}, seed=1, steps=1, cfg=1.0,
        sampler_name="euler", scheduler="simple", positive=positive, negative=negative,
    )  # fmt: skip
    in_model_space: Tensor = model.latent_format.scale_in(result["samples"])
    return in_model_space


def packed(latent: Tensor) -> Tensor:
    made: Tensor = FluxPipeline._pack_latents(latent, *latent.shape)
    return made


def expected(
    model: ModelHandle, module: FluxControlNetModel, hint: Tensor, strength: float, mode: Any = None
) -> Tensor:
    """The clean latent that is predicted for pure noise, by diffusers alone."""
    torch.manual_seed(1)
    noise, [[context, options]] = torch.randn(1, 16, 8, 12), prompt(1)
    places = FluxPipeline._prepare_latent_image_ids(1, 4, 6, torch.device("cpu"), torch.float32)
    shared = {
        "hidden_states": packed(noise), "encoder_hidden_states": context,
        "pooled_projections": options["pooled_output"], "timestep": torch.ones(1),
        "guidance": torch.tensor([3.5]), "txt_ids": torch.zeros(5, 3), "img_ids": places,
        "return_dict": False,
    }  # fmt: skip
    double, single = module(controlnet_cond=hint, conditioning_scale=strength,
                            controlnet_mode=mode, **shared)  # fmt: skip
    with model.policy.using(model.network, model.device) as transformer:
        velocity = transformer(
            controlnet_block_samples=double,
            controlnet_single_block_samples=single,
            controlnet_blocks_repeat=module.input_hint_block is not None,
            **shared,
        )[0]
    clean: Tensor = packed(noise) - velocity
    return clean


def scaled(picture: Tensor) -> Tensor:
    return (Vae().encode(picture) - 0.1159) * 0.3611


def close(found: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(packed(found), wanted, atol=2e-4)


def test_a_network_that_sees_a_latent_adds_to_both_kinds_of_blocks(
    model: ModelHandle, policy: Policy
) -> None:
    module = network()
    made = control(dict(module.state_dict()), policy)
    sides = ControlNetApplyAdvanced().run(
        prompt(1), prompt(2), made, PICTURE, 0.7, 0.0, 1.0, vae=Vae()
    )
    found = sampled(model, *sides)
    assert close(found, expected(model, module, packed(scaled(PICTURE)), 0.7))
    assert not torch.allclose(found, sampled(model, prompt(1), prompt(2)), atol=1e-2)


def test_a_network_for_several_kinds_is_told_which_it_gets(
    model: ModelHandle, policy: Policy
) -> None:
    module = network(num_mode=7)
    made = control(dict(module.state_dict()), policy)
    results = []
    for kind, mode in (("depth", 2), ("canny/lineart/anime_lineart/mlsd", 0)):
        (told,) = SetUnionControlNetType().run(made, kind)
        sides = ControlNetApplyAdvanced().run(
            prompt(1), prompt(2), told, PICTURE, 1.0, 0.0, 1.0, vae=Vae()
        )
        results.append(sampled(model, *sides))
        wanted = expected(model, module, packed(scaled(PICTURE)), 1.0, torch.tensor([[mode]]))
        assert close(results[-1], wanted)
    depth, canny = results
    assert not torch.allclose(depth, canny, atol=1e-3)


def test_a_network_for_inpainting_sees_the_mask(model: ModelHandle, policy: Policy) -> None:
    module = network(seen=68)
    mask = torch.zeros(1, 64, 96)
    mask[:, :, 40:] = 1.0
    made = control(dict(module.state_dict()), policy)
    sides = ControlNetInpaintingAliMamaApply().run(
        prompt(1), prompt(2), made, Vae(), PICTURE, mask, 1.0, 0.0, 1.0
    )
    kept = 1 - mask[..., None]
    hint = torch.cat([packed(scaled(PICTURE * kept)), packed(1 - mask[:, None, ::8, ::8])], dim=2)
    assert close(sampled(model, *sides), expected(model, module, hint, 1.0))


def xlabs_names(module: FluxControlNetModel) -> dict[str, Tensor]:
    """The network as XLabs published it."""
    ours = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    made = in_original_layout(Weights(path=Path("c"), tensors=ours)).tensors
    convolutions = ["conv_in", *(f"blocks.{index}" for index in range(6)), "conv_out"]
    for kind in ("weight", "bias"):
        made[f"pos_embed_input.{kind}"] = ours[f"controlnet_x_embedder.{kind}"]
        for index in range(2):
            made[f"controlnet_blocks.{index}.{kind}"] = ours[f"controlnet_blocks.{index}.{kind}"]
        for index, name in enumerate(convolutions):
            made[f"input_hint_block.{2 * index}.{kind}"] = ours[f"input_hint_block.{name}.{kind}"]
    return made


@pytest.mark.parametrize("layout", ["xlabs", "diffusers"])
def test_a_network_that_sees_the_picture_itself(
    layout: str, model: ModelHandle, policy: Policy
) -> None:
    module = network(**XLABS)
    tensors = xlabs_names(module) if layout == "xlabs" else dict(module.state_dict())
    made = control(tensors, policy)
    sides = ControlNetApplyAdvanced().run(prompt(1), prompt(2), made, PICTURE, 0.5, 0.0, 1.0)
    wanted = expected(model, module, PICTURE.movedim(-1, 1) * 2 - 1, 0.5)
    assert close(sampled(model, *sides), wanted)


def test_a_control_without_a_vae_or_for_another_model_is_refused(
    model: ModelHandle, policy: Policy
) -> None:
    made = control(dict(network().state_dict()), policy)
    sides = ControlNetApplyAdvanced().run(prompt(1), prompt(2), made, PICTURE, 1.0, 0.0, 1.0)
    with pytest.raises(InvalidInput, match="VAE"):
        sampled(model, *sides)

    class OtherVae(Vae):
        def encode(self, pixels: Tensor) -> Tensor:
            return super().encode(pixels)[:, :4]

    sides = ControlNetApplyAdvanced().run(
        prompt(1), prompt(2), made, PICTURE, 1.0, 0.0, 1.0, vae=OtherVae()
    )
    with pytest.raises(InvalidInput, match=r"16 channels, and the VAE .* makes 4"):
        sampled(model, *sides)

    class Other:
        diffusion_model = None
        model_sampling = None

    with pytest.raises(InvalidInput, match="for Flux"):
        made.copy().pre_run(Other(), lambda percent: percent)
    with pytest.raises(InvalidInput, match="outside of a run"):
        made.copy().get_control(torch.zeros(1, 16, 4, 4), torch.ones(1), {}, 1, {})
