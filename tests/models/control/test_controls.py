"""Control networks: layouts of files, and what they change in a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.control.adapter import T2IAdapter
from models.control.control_lora import ControlLora
from models.control.controlnet import ControlNet
from models.control.load import control_of
from models.errors import InvalidInput, PartMissing, UnsupportedLayout
from models.load import Checkpoint, unet_of
from models.memory import Policy
from models.protocol.control import ControlBase
from models.protocol.sampling import sample_latent
from models.weights import Weights
from nodes.controls import (
    ControlNetApply,
    ControlNetApplyAdvanced,
    ControlNetApplySD3,
    SetUnionControlNetType,
)
from tests.models import tiny_sdxl
from tests.models.conftest import policy, tiny, tiny_file
from tests.models.control.tiny_control import adapter_tensors, control_tensors
from tests.models.tiny import TinyModel
from tests.models.tiny_flux import TinyFlux

__all__ = ["policy", "tiny", "tiny_file"]

PICTURE = torch.rand(1, 48, 40, 3, generator=torch.Generator().manual_seed(1))


def weights(tensors: dict[str, Tensor], name: str = "control.safetensors") -> Weights:
    metadata = {"darkroom.config": json.dumps(TinyModel().config)}
    return Weights(path=Path(name), tensors=tensors, metadata=metadata)


@pytest.fixture(scope="module")
def controlnet(policy: Policy) -> ControlNet:
    made = control_of(weights(control_tensors()), policy)
    assert isinstance(made, ControlNet)
    return made


def conditioning(tiny: Checkpoint, text: str) -> Any:
    assert tiny.text is not None
    return tiny.text.encode_text(text)


def sampled(tiny: Checkpoint, positive: Any, negative: Any, cfg: float = 2.0) -> Tensor:
    result = sample_latent(
        tiny.model,
        {"samples": torch.zeros(1, 4, 8, 8)},
        seed=1,
        steps=2,
        cfg=cfg,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=negative,
    )
    samples: Tensor = result["samples"]
    return samples


def controlled(tiny: Checkpoint, *controls: tuple[ControlBase, float, float, float]) -> Tensor:
    """A run with controls (with strength, start and end) on both sides."""
    sides = conditioning(tiny, "a circle"), conditioning(tiny, "blurry")
    for control, strength, start, end in controls:
        sides = ControlNetApplyAdvanced().run(*sides, control, PICTURE, strength, start, end)
    return sampled(tiny, *sides)


def test_every_layout_of_a_file_is_the_same_network(
    tiny: Checkpoint, policy: Policy, controlnet: ControlNet
) -> None:
    expected = controlled(tiny, (controlnet, 1.0, 0.0, 1.0))
    assert controlnet.network is not None
    in_diffusers = {k: v.clone() for k, v in controlnet.network.module.state_dict().items()}
    prefixed = {f"control_model.{k}": v for k, v in control_tensors().items()}
    for tensors in (in_diffusers, prefixed):
        other = control_of(weights(tensors), policy)
        assert torch.allclose(controlled(tiny, (other, 1.0, 0.0, 1.0)), expected, atol=1e-5)
    assert not torch.allclose(controlled(tiny), expected, atol=1e-3)


def test_control_with_the_vae_of_the_model_is_the_same(
    tiny: Checkpoint, controlnet: ControlNet
) -> None:
    sides = ControlNetApplySD3().run(
        positive=conditioning(tiny, "a circle"),
        negative=conditioning(tiny, "blurry"),
        control_net=controlnet,
        vae=tiny.vae,
        image=PICTURE,
        strength=1.0,
        start_percent=0.0,
        end_percent=1.0,
    )
    assert torch.equal(sampled(tiny, *sides), controlled(tiny, (controlnet, 1.0, 0.0, 1.0)))


def test_strengths_add_up_in_a_chain(tiny: Checkpoint, controlnet: ControlNet) -> None:
    half = controlled(tiny, (controlnet, 0.5, 0.0, 1.0), (controlnet, 0.5, 0.0, 1.0))
    assert torch.allclose(half, controlled(tiny, (controlnet, 1.0, 0.0, 1.0)), atol=1e-4)


def test_a_control_acts_in_its_part_of_the_run(tiny: Checkpoint, controlnet: ControlNet) -> None:
    plain = controlled(tiny)
    assert torch.equal(controlled(tiny, (controlnet, 0.0, 0.0, 1.0)), plain)
    never = controlled(tiny, (controlnet, 1.0, 0.98, 0.99))
    assert torch.allclose(never, plain, atol=1e-6)
    early = controlled(tiny, (controlnet, 1.0, 0.0, 0.1))
    assert not torch.allclose(early, plain, atol=1e-3)
    assert not torch.allclose(early, controlled(tiny, (controlnet, 1.0, 0.0, 1.0)), atol=1e-3)


def test_the_old_node_acts_on_both_sides(tiny: Checkpoint, controlnet: ControlNet) -> None:
    (positive,) = ControlNetApply().run(conditioning(tiny, "a circle"), controlnet, PICTURE, 0.7)
    result = sampled(tiny, positive, conditioning(tiny, "blurry"))
    assert torch.allclose(result, controlled(tiny, (controlnet, 0.7, 0.0, 1.0)), atol=1e-5)


def test_a_control_lora_is_the_unet_with_factors(tiny: Checkpoint, policy: Policy) -> None:
    full = control_tensors()
    layer = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
    conv = "input_blocks.1.0.in_layers.2"
    factors: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(3)
    for name in (layer, conv):
        rows, columns = full[f"{name}.weight"].flatten(1).shape
        up, down = (
            torch.randn(rows, 2, generator=generator),
            torch.randn(2, columns, generator=generator),
        )
        factors |= {f"{name}.up": up * 0.1, f"{name}.down": down * 0.1}
        change = (up * 0.1 @ (down * 0.1)).reshape(full[f"{name}.weight"].shape)
        full[f"{name}.weight"] = (full[f"{name}.weight"].float() + change).half()
    own = ("input_hint_block.", "zero_convs.", "middle_block_out.")
    tensors = {k: v for k, v in full.items() if k.startswith(own)}
    lora = control_of(weights(tensors | factors | {"lora_controlnet": torch.zeros(0)}), policy)
    assert isinstance(lora, ControlLora)
    whole = control_of(weights(full), policy)
    expected = controlled(tiny, (whole, 1.0, 0.0, 1.0))
    assert torch.allclose(controlled(tiny, (lora, 1.0, 0.0, 1.0)), expected, atol=1e-4)


def test_a_file_of_differences_is_added_to_the_model(tiny: Checkpoint, policy: Policy) -> None:
    full = control_tensors()
    stored = {outer: tiny.model.weight(name) for outer, name in tiny.model.weight_names().items()}
    tensors = {
        name: tensor.float() - stored[f"diffusion_model.{name}"].float()
        if f"diffusion_model.{name}" in stored
        else tensor
        for name, tensor in full.items()
    }
    made = control_of(weights(tensors | {"difference": torch.zeros(1)}), policy, tiny.model)
    expected = controlled(tiny, (control_of(weights(full), policy), 1.0, 0.0, 1.0))
    assert torch.allclose(controlled(tiny, (made, 1.0, 0.0, 1.0)), expected, atol=1e-3)


def test_an_adapter_adds_to_the_way_down(tiny: Checkpoint, policy: Policy) -> None:
    adapter = control_of(weights(adapter_tensors()), policy)
    assert isinstance(adapter, T2IAdapter)
    plain, full = controlled(tiny), controlled(tiny, (adapter, 1.0, 0.0, 1.0))
    assert not torch.allclose(full, plain, atol=1e-3)
    in_diffusers = {k: v.clone() for k, v in adapter.network.module.state_dict().items()}
    other = control_of(weights(in_diffusers), policy)
    assert torch.allclose(controlled(tiny, (other, 1.0, 0.0, 1.0)), full, atol=1e-5)


def test_pooled_networks_are_known_by_their_name(policy: Policy) -> None:
    pooled = control_of(weights(control_tensors(), "control_v11e_sd15_shuffle.pth"), policy)
    assert pooled.global_average_pooling
    residual = torch.rand(1, 2, 3, 3)
    merged = pooled.control_merge({"output": [residual]}, None, torch.float32)["output"][0]
    assert merged is not None
    assert torch.allclose(merged, residual.mean(dim=(2, 3), keepdim=True).expand_as(residual))


def test_files_without_control_are_refused(policy: Policy) -> None:
    with pytest.raises(PartMissing, match="ControlNet"):
        control_of(weights({"x": torch.zeros(1)}), policy)
    uneven = control_tensors(TinyModel(depths=((1, 0), 0), blocks=2))
    with pytest.raises(UnsupportedLayout, match="some blocks of a resolution have attention"):
        control_of(weights(uneven), policy)


def test_the_kind_of_picture_is_noted_on_a_copy(controlnet: ControlNet) -> None:
    (made,) = SetUnionControlNetType().run(controlnet, "depth")
    assert made.extra_args == {"control_type": [1]}
    assert controlnet.extra_args == {}


@pytest.mark.parametrize("family", ["sdxl", "flux"])
@pytest.mark.parametrize("kind", ["controlnet", "adapter"])
def test_controls_of_other_families_are_refused_by_name(
    kind: str, family: str, policy: Policy
) -> None:
    tensors = control_tensors() if kind == "controlnet" else adapter_tensors()
    made = control_of(weights(tensors), policy)
    if family == "flux":
        model, context, pooled = TinyFlux().handle(), TinyFlux().context, TinyFlux().pooled
    else:
        metadata = {"darkroom.config": json.dumps(tiny_sdxl.stated(tiny_sdxl.SDXL))}
        file = Weights(path=Path("xl"), tensors=tiny_sdxl.SDXL.unet(), metadata=metadata)
        model, context, pooled = unet_of(file, policy), tiny_sdxl.SDXL.context, tiny_sdxl.POOLED
    prompt: Any = [[torch.zeros(1, 77, context), {"pooled_output": torch.zeros(1, pooled)}]]
    sides = ControlNetApplyAdvanced().run(prompt, prompt, made, PICTURE, 1.0, 0.0, 1.0)
    refused = {
        ("controlnet", "sdxl"): "prompts of 16, and the model that runs takes 4 and 192",
        ("controlnet", "flux"): "latents of 4 channels",
        ("adapter", "sdxl"): "where the model has",
        ("adapter", "flux"): "for UNets",
    }
    with pytest.raises(InvalidInput, match=refused[kind, family]):
        sample_latent(
            model, {"samples": torch.zeros(1, 4, 8, 8)}, seed=1, steps=1, cfg=1.0,
            sampler_name="euler", scheduler="normal", positive=sides[0], negative=sides[1],
        )  # fmt: skip
