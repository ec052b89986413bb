"""ControlNets of Stable Diffusion XL against diffusers' own evaluation of the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.control.control_lora import ControlLora
from models.control.controlnet import ControlNet
from models.control.load import control_of
from models.control.union import UnionControlNet
from models.errors import InvalidInput
from models.handle import ModelHandle
from models.load import unet_of
from models.memory import Policy
from models.protocol.class_vectors import embedded_numbers
from models.protocol.model_sampling import ModelSamplingDiscrete
from models.protocol.object_schedule import sampling_object
from models.sampling.schedule import DiscreteSchedule
from models.weights import Weights
from nodes.controls import SetUnionControlNetType
from tests.models.conftest import policy
from tests.models.tiny import TinyModel

__all__ = ["policy"]

POOLED, NUMBERS = 16, [64, 64, 0, 0, 64, 64]
LIKE_SDXL = TinyModel(channels=(8, 16), depths=(0, 2), middle_depth=2, is_linear=True,
                      context=24, label=POOLED + 6 * 256)  # fmt: skip
THREE_LEVELS = TinyModel(channels=(8, 16, 32), depths=(0, 1, 2), middle_depth=2, blocks=2,
                         is_linear=True, context=24, label=LIKE_SDXL.label)  # fmt: skip
CONFIG: dict[str, Any] = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 2),
    "cross_attention_dim": 24,
    "attention_head_dim": 4,
    "norm_num_groups": 4,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": LIKE_SDXL.label,
    "conditioning_embedding_out_channels": (4, 4, 8, 8),
}
UNION: dict[str, Any] = {"num_trans_channel": 8, "num_proj_channel": 8, "num_trans_head": 8}
GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(2, 4, 8, 8, generator=GENERATOR)
HINT = torch.rand(1, 3, 64, 64, generator=GENERATOR)
CONTEXT = torch.randn(2, 7, 24, generator=GENERATOR)
PROMPT = torch.randn(2, POOLED, generator=GENERATOR)
VECTOR = torch.cat([PROMPT, embedded_numbers(NUMBERS).expand(2, -1)], dim=1)
ADDED = {"text_embeds": PROMPT, "time_ids": torch.tensor([NUMBERS, NUMBERS]).float()}
SIGMA = torch.full((2,), 3.0)


def filled(module: nn.Module) -> nn.Module:
    """Random weights everywhere: layers that begin as zeros would hide mistakes."""
    generator = torch.Generator().manual_seed(6)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return module.eval()


def controlnet() -> Any:
    from diffusers import ControlNetModel

    return filled(ControlNetModel(**CONFIG))


def union(kinds: int = 6, **changes: Any) -> Any:
    from diffusers import ControlNetUnionModel

    return filled(ControlNetUnionModel(**{**CONFIG, **UNION, "num_control_type": kinds, **changes}))


def weights(tensors: dict[str, Tensor]) -> Weights:
    said = {"unet": {"num_attention_heads": 4, "norm_num_groups": 4}}
    return Weights(
        path=Path("c.safetensors"), tensors=tensors, metadata={"darkroom.config": json.dumps(said)}
    )


class Model:
    """What a control is told of the model that runs."""

    model_sampling = sampling_object(DiscreteSchedule.scaled_linear())


def residuals(control: Any, **cond: Any) -> list[Tensor]:
    control.set_cond_hint(HINT)
    sampling: ModelSamplingDiscrete = Model.model_sampling
    control.pre_run(Model(), sampling.percent_to_sigma)
    found = control.get_control(X, SIGMA, {"c_crossattn": CONTEXT, **cond}, 1, {})
    return [*found["output"], *found["middle"]]


def expected(module: Any, hint: Any, **more: Any) -> list[Tensor]:
    time = Model.model_sampling.timestep(SIGMA).float()
    seen = X / (SIGMA[0] ** 2 + 1) ** 0.5
    with torch.no_grad():
        down, middle = module(
            seen, time, CONTEXT, hint, added_cond_kwargs=ADDED, return_dict=False, **more
        )
    return [*down, middle]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    assert len(one) == len(other)
    return all(torch.allclose(a, b, atol=1e-5) for a, b in zip(one, other, strict=True))


def test_a_controlnet_of_diffusers_gives_diffusers_residuals(policy: Policy) -> None:
    module = controlnet()
    control = control_of(weights(module.state_dict()), policy)
    assert type(control) is ControlNet
    hint = HINT.expand(2, -1, -1, -1)
    assert same(residuals(control, y=VECTOR), expected(module, hint))


def test_the_original_layout_is_the_same_network(policy: Policy) -> None:
    from models.families.diffusers_names import with_original_names

    tensors = controlnet().state_dict()
    original = with_original_names(weights(tensors)).tensors
    assert "label_emb.0.0.weight" in original and "zero_convs.0.0.weight" in original
    prefixed = {f"control_model.{name}": tensor for name, tensor in original.items()}
    first = control_of(weights(prefixed), policy)
    second = control_of(weights(tensors), policy)
    assert same(residuals(first, y=VECTOR), residuals(second, y=VECTOR))


def test_a_model_without_a_class_vector_is_refused(policy: Policy) -> None:
    control = control_of(weights(controlnet().state_dict()), policy)
    with pytest.raises(InvalidInput, match="belongs to models with a class vector"):
        residuals(control)


def test_a_small_controlnet_without_attention_runs(policy: Policy) -> None:
    from diffusers import ControlNetModel

    small = {
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "mid_block_type": "UNetMidBlock2D",
        "transformer_layers_per_block": (1, 1),
    }
    module = filled(ControlNetModel(**{**CONFIG, **small}))
    control = control_of(weights(module.state_dict()), policy)
    assert same(residuals(control, y=VECTOR), expected(module, HINT.expand(2, -1, -1, -1)))


@pytest.mark.parametrize(("kind", "number"), [("openpose", 0), ("normal", 4)])
def test_a_union_is_told_the_kind_of_its_hint(policy: Policy, kind: str, number: int) -> None:
    module = union()
    control = control_of(weights(module.state_dict()), policy)
    assert isinstance(control, UnionControlNet)
    [told] = SetUnionControlNetType().run(control, kind)
    marks = torch.zeros(2, 6)
    marks[:, number] = 1
    wanted = expected(module, [HINT.expand(2, -1, -1, -1)], control_type=marks,
                      control_type_idx=[number])  # fmt: skip
    actual = residuals(told, y=VECTOR)
    assert same(actual, wanted)
    assert not same(residuals(control, y=VECTOR), actual)


def test_a_union_that_is_told_nothing_adds_nothing_for_the_kind(policy: Policy) -> None:
    module = union()
    control = control_of(weights(module.state_dict()), policy)
    [untold] = SetUnionControlNetType().run(control, "auto")
    module.task_embedding.data.zero_()
    wanted = expected(module, [HINT.expand(2, -1, -1, -1)], control_type=torch.zeros(2, 6),
                      control_type_idx=[0])  # fmt: skip
    assert same(residuals(untold, y=VECTOR), wanted)
    assert control_of(weights(union(8).state_dict()), policy) is not None


def test_a_kind_that_a_union_has_not_is_refused(policy: Policy) -> None:
    control = control_of(weights(union().state_dict()), policy)
    [told] = SetUnionControlNetType().run(control, "tile")
    with pytest.raises(InvalidInput, match="has 6 kinds of hints, not number 6"):
        residuals(told, y=VECTOR)


def test_a_control_lora_is_the_unets_way_down_and_its_factors(policy: Policy) -> None:
    from models.families.diffusers_names import with_original_names

    model: ModelHandle = unet_of(weights(LIKE_SDXL.unet()), policy)
    own = with_original_names(weights(controlnet().state_dict())).tensors
    parts = ("zero_convs.", "input_hint_block.", "middle_block_out.")
    lora = {name: tensor for name, tensor in own.items() if name.startswith(parts)}
    changed = "label_emb.0.2"
    lora[f"{changed}.up"], lora[f"{changed}.down"] = torch.ones(32, 1), torch.ones(1, 32)
    control = control_of(weights(lora | {"lora_controlnet": torch.tensor([])}), policy)
    assert isinstance(control, ControlLora)
    control.set_cond_hint(HINT)
    control.pre_run(model.model, Model.model_sampling.percent_to_sigma)
    cond = {"c_crossattn": CONTEXT, "y": VECTOR}
    actual = control.get_control(X, SIGMA, cond, 1, {})
    assert actual is not None
    shared = ("time_embed.", "input_blocks.", "middle_block.", "label_emb.")
    whole = {name: t for name, t in LIKE_SDXL.unet().items() if name.startswith(shared)}
    whole[f"{changed}.weight"] = (whole[f"{changed}.weight"].float() + 1).half()
    plain = control_of(weights({**whole, **{k: v for k, v in lora.items() if k in own}}), policy)
    assert same([*actual["output"], *actual["middle"]], residuals(plain, y=VECTOR))  # type: ignore[list-item]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_adapter_is_what_diffusers_adds(channels: int, policy: Policy) -> None:
    from diffusers import T2IAdapter as Adapter

    from tests.models.families.test_class_vectors import diffusers_unet

    adapter = filled(Adapter(channels, [8, 16, 32, 32], 2, 16, "full_adapter_xl"))
    unet = diffusers_unet(
        THREE_LEVELS,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=THREE_LEVELS.label,
    )
    model = unet_of(weights(THREE_LEVELS.unet()), policy)
    control = control_of(weights(adapter.state_dict()), policy)
    control.set_cond_hint(HINT)
    control.pre_run(model.model, Model.model_sampling.percent_to_sigma)
    time = torch.tensor([500])
    added = control.get_control(X, SIGMA, {}, 1, {})
    actual = model.model.diffusion_model(X, time, CONTEXT, VECTOR, control=added)
    with torch.no_grad():
        features = adapter(HINT if channels == 3 else HINT.mean(dim=1, keepdim=True))
        both = [feature.expand(2, -1, -1, -1) for feature in features]
        wanted, plain = (
            unet(X, time, CONTEXT, added_cond_kwargs=ADDED,
                 down_intrablock_additional_residuals=residual).sample
            for residual in (both, None)
        )  # fmt: skip
    assert torch.allclose(actual, wanted, atol=1e-4)
    assert not torch.allclose(wanted, plain, atol=1e-2)
