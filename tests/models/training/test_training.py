"""Training of adapters: what is learned, and that the files say the same as was computed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.gradients import with_gradients
from models.handle import ModelHandle
from models.load import load_checkpoint, load_unet, unet_of
from models.lora import Lora, apply_lora, group_tensors
from models.memory import Policy
from models.training import Course, TrainedAdapter, train
from models.training.adapters import Adapter
from models.training.layers import hooked, trained_layers
from models.training.new_parts import Algorithm, near_root, new_parts
from models.weights import open_weights
from tests.models import tiny_chroma, tiny_sd3, tiny_z_image
from tests.models.tiny import TinyModel, save, save_checkpoint
from tests.models.tiny_flux import TinyFlux

CHANCE = torch.Generator().manual_seed(11)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=CHANCE)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, with latents and prompts for it."""

    model: Callable[[Path, Policy], ModelHandle]
    latent: tuple[int, ...]
    context: int
    options: dict[str, Any]

    @property
    def prompt(self) -> list[Any]:
        return [[normal(1, 7, self.context), dict(self.options)]]


def sd15(folder: Path, policy: Policy) -> ModelHandle:
    return load_checkpoint(save_checkpoint(folder / "m.safetensors"), policy).model


def float8(folder: Path, policy: Policy) -> ModelHandle:
    tiny = TinyModel(channels=(64, 64), depths=(1, 0), context=64)
    tensors = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in tiny.unet().items()}
    return unet_of(open_weights(save(folder / "m.safetensors", tensors, tiny.config)), policy)


def sd3(folder: Path, policy: Policy) -> ModelHandle:
    module = tiny_sd3.transformer(tiny_sd3.CONFIG)
    return load_unet(tiny_sd3.save_transformer(folder / "m.safetensors", module), policy)


CASES = {
    "sd15": Case(model=sd15, latent=(4, 8, 8), context=16, options={}),
    "float8": Case(model=float8, latent=(4, 8, 8), context=64, options={}),
    "flux": Case(
        model=lambda _folder, _policy: TinyFlux().handle(),
        latent=(16, 6, 8),
        context=24,
        options={"pooled_output": normal(1, 20), "guidance": 3.5},
    ),
    "sd3": Case(
        model=sd3,
        latent=(16, 8, 12),
        context=tiny_sd3.PROMPT,
        options={"pooled_output": normal(1, tiny_sd3.POOLED)},
    ),
    "chroma": Case(
        model=lambda _folder, _policy: tiny_chroma.handle(tiny_chroma.transformer()),
        latent=(16, 6, 8),
        context=tiny_chroma.PROMPT,
        options={},
    ),
    "z_image": Case(
        model=lambda _folder, _policy: tiny_z_image.handle(tiny_z_image.transformer()),
        latent=(16, 6, 8),
        context=tiny_z_image.PROMPT,
        options={},
    ),
}


def trained(model: ModelHandle, case: Case, **settings: Any) -> TrainedAdapter:
    latents = [0.5 * normal(2, *case.latent)]
    course = Course(**{"steps": 4, "batch_size": 2, "learning_rate": 3e-3} | settings)
    with torch.inference_mode():  # as nodes run
        prompts = [case.prompt, case.prompt]
        return train(model, latents, prompts, course, progress=lambda *_: None)


def with_adapter(model: ModelHandle, tensors: dict[str, Tensor], strength: float = 1.0) -> Any:
    lora = Lora(path=Path("trained"), groups=group_tensors(tensors))
    changed, _ = apply_lora(lora, model, None, strength_model=strength, strength_text=0.0)
    assert not lora.reported  # every name fits
    return changed


@pytest.mark.parametrize("name", CASES)
def test_models_of_each_family_learn(name: str, tmp_path: Path, policy: Policy) -> None:
    case = CASES[name]
    with torch.inference_mode():
        model = case.model(tmp_path, policy)
    x, sigma, context = (
        normal(2, *case.latent),
        torch.tensor([0.7, 0.7]),
        normal(1, 7, case.context),
    )
    with torch.inference_mode():
        inputs = dict(model.extra_conditioning(case.options, x))
        before = model.denoised(x, sigma, context.expand(2, -1, -1), **inputs)
    result = trained(model, case, steps=24, learning_rate=1e-2)
    first, last = sum(result.losses[:8]), sum(result.losses[-8:])
    assert last < 0.95 * first
    layers = trained_layers(model.network)
    assert len([n for n in result.tensors if n.endswith("lora_up.weight")]) == len(layers)
    changed = [t for n, t in result.tensors.items() if n.endswith("lora_up.weight") and t.any()]
    assert len(changed) > 0.7 * len(layers)  # some layers of tiny models see nothing but zeros
    with torch.inference_mode():
        after = model.denoised(x, sigma, context.expand(2, -1, -1), **inputs)
        other = with_adapter(model, result.tensors)
        differs = other.denoised(x, sigma, context.expand(2, -1, -1), **inputs)
    assert torch.equal(before, after)  # the model itself is as it was
    assert not torch.allclose(before, differs, atol=1e-3)


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
@pytest.mark.parametrize("name", ["sd15", "flux"])
def test_a_loaded_adapter_computes_what_was_trained(
    name: str, algorithm: Algorithm, tmp_path: Path, policy: Policy
) -> None:
    case = CASES[name]
    model = case.model(tmp_path, policy)
    x, sigma, context = normal(1, *case.latent), torch.tensor([0.7]), normal(1, 7, case.context)
    inputs = dict(model.extra_conditioning(case.options, x))
    layers = trained_layers(model.network)
    adapters: dict[str, Adapter] = {}
    tensors: dict[str, Tensor] = {}
    for layer, module in layers.items():
        parts = {
            kind: part if kind == "alpha" else part + 0.05 * normal(*part.shape)
            for kind, part in new_parts(
                algorithm, module.get_parameter("weight").shape, 3, CHANCE
            ).items()
        }
        adapters[layer] = Adapter(parts, torch.float32)
        tensors |= {f"{layer}{ending(kind)}": part for kind, part in parts.items()}
    plain = model.denoised(x, sigma, context, **inputs)
    with hooked(layers, adapters), torch.no_grad():
        learned = model.denoised(x, sigma, context, **inputs)
    loaded = with_adapter(model, tensors).denoised(x, sigma, context, **inputs)
    assert not torch.allclose(plain, learned, atol=1e-2)
    assert torch.allclose(learned, loaded, atol=2e-3 * float(learned.abs().max()))


def ending(kind: str) -> str:
    return {"up": ".lora_up.weight", "down": ".lora_down.weight"}.get(kind, f".{kind}")


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_a_new_adapter_changes_nothing(algorithm: Algorithm) -> None:
    for shape in ((12, 18), (16, 8, 3, 3), (1, 7), (5, 3, 1, 1)):
        layer: Any = (
            torch.nn.Linear(shape[1], shape[0])
            if len(shape) == 2
            else torch.nn.Conv2d(shape[1], shape[0], shape[2], stride=2, padding=1)
        )
        adapter = Adapter(
            new_parts(algorithm, layer.weight.shape, 4, torch.Generator()), torch.float32
        )
        x = normal(2, 5, shape[1]) if len(shape) == 2 else normal(2, shape[1], 6, 6)
        assert torch.allclose(adapter(layer, (x,), layer(x)), layer(x), atol=1e-6)


def test_the_same_seed_trains_the_same(tmp_path: Path, policy: Policy) -> None:
    case = CASES["sd15"]
    model = case.model(tmp_path, policy)
    latents, prompts = [normal(3, *case.latent)], [case.prompt]

    def run(seed: int, saves_memory: bool = True) -> TrainedAdapter:
        course = Course(steps=3, batch_size=2, seed=seed, saves_memory=saves_memory)
        return train(model, latents, prompts, course, progress=lambda *_: None)

    first = run(5)
    assert first.losses == run(5).losses
    assert first.losses != run(6).losses
    again = run(5, saves_memory=False)  # which changes how much is computed, not what
    for name, tensor in first.tensors.items():
        assert torch.allclose(tensor, again.tensors[name], atol=1e-5)


def test_steps_of_several_batches_are_those_of_a_large_one(tmp_path: Path, policy: Policy) -> None:
    case = CASES["sd15"]
    model = case.model(tmp_path, policy)
    latents, prompts = [normal(1, *case.latent)], [case.prompt]
    losses = []
    for size, count in ((4, 1), (1, 4)):
        course = Course(steps=1, batch_size=size, accumulated=count, optimizer="SGD")
        result = train(model, latents, prompts, course, progress=lambda *_: None)
        losses.append(result.losses[0])
    # Other noise is drawn, so that they are alike only.
    assert losses[0] == pytest.approx(losses[1], rel=0.5)


def test_latents_of_several_sizes_are_trained_in_batches_of_each(
    tmp_path: Path, policy: Policy
) -> None:
    case = CASES["sd15"]
    model = case.model(tmp_path, policy)
    sizes: set[tuple[int, ...]] = set()
    model.network.module.conv_in.register_forward_pre_hook(
        lambda _module, inputs: sizes.add(tuple(inputs[0].shape))
    )
    latents = [normal(2, 4, 8, 8), normal(2, 4, 8, 16)]
    for by_size in (False, True):
        sizes.clear()
        course = Course(steps=8, batch_size=2, by_size=by_size)
        train(model, latents, [[case.prompt] * 2] * 2, course, progress=lambda *_: None)
        assert {size[2:] for size in sizes} == {(8, 8), (8, 16)}
        if by_size:
            assert {size[0] for size in sizes} == {2}


def test_training_goes_on_from_a_file(tmp_path: Path, policy: Policy) -> None:
    case = CASES["flux"]
    model = case.model(tmp_path, policy)
    first = trained(model, case, steps=3, rank=2)
    groups = group_tensors(first.tensors)
    # A rate of next to nothing: what comes out is what went in.
    course = Course(steps=1, learning_rate=1e-9, rank=7, algorithm="LoHa")
    second = train(
        model, [normal(1, *case.latent)], [case.prompt], course,
        progress=lambda *_: None, start=groups,
    )  # fmt: skip
    assert second.tensors.keys() == first.tensors.keys()
    for name, tensor in first.tensors.items():
        assert torch.allclose(tensor, second.tensors[name], atol=1e-5)


def test_what_cannot_be_trained_says_so(tmp_path: Path, policy: Policy) -> None:
    case = CASES["flux"]
    model = case.model(tmp_path, policy)
    latents = [normal(2, *case.latent)]

    def start(**groups: Any) -> None:
        train(
            model, latents, [case.prompt], Course(steps=1),
            progress=lambda *_: None, start=groups,
        )  # fmt: skip

    with pytest.raises(InvalidInput, match="another model"):
        start(no_layer={"up": normal(4, 2), "down": normal(2, 4)})
    fused = {"diffusion_model.double_blocks.0.img_attn.qkv": {"up": normal(192, 1)}}
    with pytest.raises(InvalidInput, match="several layers"):
        start(**fused)
    dora = {"diffusion_model.img_in": {"up": normal(64, 1), "dora": normal(64, 1)}}
    with pytest.raises(InvalidInput, match="'dora' cannot be trained"):
        start(**dora)
    with pytest.raises(InvalidInput, match="2 latents to learn from, and 3 prompts"):
        train(model, latents, [case.prompt] * 3, Course(steps=1), progress=lambda *_: None)
    with pytest.raises(InvalidInput, match="0 latents"):
        train(model, [], [case.prompt], Course(steps=1), progress=lambda *_: None)


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path, policy: Policy) -> None:
    case = CASES["sd15"]
    model = case.model(tmp_path, policy)
    latents = [torch.full((1, *case.latent), math.nan)]
    with pytest.raises(InvalidInput, match="the loss of step 1 is nan"):
        train(model, latents, [case.prompt], Course(steps=2), progress=lambda *_: None)
    # And the model is as it was: no hooks, no checkpointing.
    module = model.network.module
    assert not module.is_gradient_checkpointing
    assert not any(layer._forward_hooks for layer in module.modules())


def test_gradients_are_kept_for_training_alone(tmp_path: Path, policy: Policy) -> None:
    model = CASES["sd15"].model(tmp_path, policy)
    with policy.using(model.network, policy.device):
        assert not torch.is_grad_enabled()
    with torch.inference_mode(), with_gradients(), policy.using(model.network, policy.device):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_factors_are_the_nearest_ones() -> None:
    assert [near_root(n) for n in (1, 7, 12, 16, 320)] == [(1, 1), (1, 7), (3, 4), (4, 4), (16, 20)]


def test_a_model_for_which_memory_runs_out_is_as_it_was(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES["sd15"]
    model = case.model(tmp_path, policy).clone()
    before = model.model.model_sampling
    model.add_object_patch("model_sampling", copy.deepcopy(before))

    def use(*_: Any) -> None:
        raise torch.OutOfMemoryError("too little")

    with monkeypatch.context() as patch:
        patch.setattr(policy.residents, "use", use)
        with pytest.raises(torch.OutOfMemoryError):
            train(
                model, [normal(1, *case.latent)], [case.prompt], Course(steps=1),
                progress=lambda *_: None,
            )  # fmt: skip
    assert model.model.model_sampling is before
