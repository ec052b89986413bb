"""What a pack puts into a model changes the latent as the function says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comfy import patcher_extension
from torch import Tensor

from models.errors import InvalidInput
from models.handle import ModelHandle
from tests.compat.comfy_models.runs import LATENT, POSITIVE, prompt, run


def test_a_cfg_function_guides_instead(model: ModelHandle) -> None:
    plain = run(model, cfg=3.0)

    def guide(args: dict[str, Any]) -> Tensor:
        cond, uncond = args["cond"], args["uncond"]
        guided: Tensor = uncond + (cond - uncond) * args["cond_scale"] / 2
        return guided

    model.set_model_sampler_cfg_function(guide)
    assert torch.allclose(run(model, cfg=6.0), plain, atol=1e-4)


def test_a_cfg_function_of_three_arguments_works_too(model: ModelHandle) -> None:
    only_positive = run(model, cfg=1.0)
    model.set_model_sampler_cfg_function(lambda cond, uncond, scale: cond)
    assert torch.allclose(run(model), only_positive, atol=1e-4)


def test_a_cfg_function_sees_predictions_and_noise_alike(model: ModelHandle) -> None:
    seen: list[dict[str, Any]] = []

    def guide(args: dict[str, Any]) -> Tensor:
        seen.append(args)
        return args["cond"]  # type: ignore[no-any-return]

    model.set_model_sampler_cfg_function(guide)
    run(model)
    assert len(seen) == 3
    for args in seen:
        assert torch.equal(args["cond"], args["input"] - args["cond_denoised"])
        assert torch.equal(args["uncond"], args["input"] - args["uncond_denoised"])
        assert args["sigma"].shape == (1,) and args["model"] is model.model


def test_the_last_prediction_after_post_cfg_is_the_latent(model: ModelHandle) -> None:
    wanted = torch.full_like(LATENT, 0.25)
    model.set_model_sampler_post_cfg_function(lambda args: wanted)
    result = run(model)
    assert torch.allclose(result, model.latent_format.scale_out(wanted), atol=1e-5)


def test_pre_cfg_functions_may_swap_the_sides(model: ModelHandle) -> None:
    plain = run(model, positive=prompt(2), negative=prompt(1))
    model.set_model_sampler_pre_cfg_function(lambda args: args["conds_out"][::-1])
    assert torch.allclose(run(model), plain, atol=1e-5)


def test_with_a_scale_of_one_the_negative_side_is_asked_only_on_request(model: ModelHandle) -> None:
    sides: list[list[int]] = []

    def call(apply_model: Any, args: dict[str, Any]) -> Tensor:
        sides.append(args["cond_or_uncond"])
        result: Tensor = apply_model(args["input"], args["timestep"], **args["c"])
        return result

    model.set_model_unet_function_wrapper(call)
    plain = run(model, cfg=1.0)
    assert sides == [[0]] * 3
    sides.clear()
    model.set_model_sampler_post_cfg_function(lambda args: args["denoised"], True)
    assert torch.allclose(run(model, cfg=1.0), plain, atol=1e-4)
    assert sides == [[0, 1]] * 3


def test_a_unet_wrapper_may_change_the_prompt(model: ModelHandle) -> None:
    plain = run(model, positive=prompt(5), cfg=1.0)
    other = prompt(5)[0][0]

    def call(apply_model: Any, args: dict[str, Any]) -> Tensor:
        result: Tensor = apply_model(
            args["input"], args["timestep"], **(args["c"] | {"c_crossattn": other})
        )
        return result

    model.set_model_unet_function_wrapper(call)
    assert torch.allclose(run(model, cfg=1.0), plain, atol=1e-5)


def test_a_denoise_mask_function_makes_the_mask_of_each_step(model: ModelHandle) -> None:
    from models.protocol.sampling import sample_latent

    options: dict[str, Any] = {
        "seed": 1, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal",
        "positive": POSITIVE, "negative": POSITIVE,
    }  # fmt: skip
    masked = {"samples": LATENT, "noise_mask": torch.ones(1, 1, 8, 8)}
    sigmas: list[float] = []

    def mask(sigma: Tensor, denoise_mask: Tensor, extra_options: dict[str, Any]) -> Tensor:
        sigmas.append(float(sigma[0]))
        assert len(extra_options["sigmas"]) == 3
        return torch.zeros_like(denoise_mask)

    model.set_model_denoise_mask_function(mask)
    result = sample_latent(model, masked, **options)["samples"]
    assert torch.allclose(result, LATENT, atol=1e-4) and len(sigmas) == 2


@pytest.mark.parametrize(
    "kind",
    [
        "OUTER_SAMPLE",
        "PREPARE_SAMPLING",
        "SAMPLER_SAMPLE",
        "PREDICT_NOISE",
        "CALC_COND_BATCH",
        "APPLY_MODEL",
        "DIFFUSION_MODEL",
    ],
)
def test_wrappers_stand_around_each_call(model: ModelHandle, kind: str) -> None:
    plain = run(model)
    calls: list[str] = []

    def outer(executor: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append("outer")
        return executor(*args, **kwargs)

    def inner(executor: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append("inner")
        return executor(*args, **kwargs)

    wrapper_type = getattr(patcher_extension.WrappersMP, kind)
    model.add_wrapper_with_key(wrapper_type, "mine", outer)
    model.add_wrapper(wrapper_type, inner)
    assert torch.allclose(run(model), plain, atol=1e-5)
    assert calls[:2] == ["outer", "inner"]
    assert len(calls) == (2 if kind.endswith(("_SAMPLE", "_SAMPLING")) else 6)
    model.remove_wrappers_with_key(wrapper_type, "mine")
    calls.clear()
    run(model)
    assert set(calls) == {"inner"}


def test_a_clone_does_not_change_its_original(model: ModelHandle) -> None:
    other = model.clone()
    other.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * 0)
    other.model_options["transformer_options"]["mine"] = True
    other.add_object_patch("some", 1)
    other.set_attachments("mine", 1)
    assert not model.is_customised and not model.attachments
    assert other.is_clone(model) and other.model is model.model


def test_callbacks_hear_of_clones_and_of_runs(model: ModelHandle) -> None:
    heard: list[str] = []
    kinds = patcher_extension.CallbacksMP
    model.add_callback(kinds.ON_CLONE, lambda old, new: heard.append("clone"))
    model.add_callback_with_key(kinds.ON_PRE_RUN, "k", lambda patcher: heard.append("run"))
    model.add_callback(kinds.ON_CLEANUP, lambda patcher: heard.append("cleanup"))
    run(model.clone())
    assert heard == ["clone", "run", "cleanup"]


def test_injections_change_the_model_for_a_run(model: ModelHandle) -> None:
    events: list[str] = []
    injection = patcher_extension.PatcherInjection(
        inject=lambda patcher: events.append("in"), eject=lambda patcher: events.append("out")
    )
    model.set_injections("mine", [injection])

    def note(args: dict[str, Any]) -> Any:
        events.append("step")
        return args["denoised"]

    model.set_model_sampler_post_cfg_function(note)
    run(model, steps=1)
    assert events == ["in", "step", "out"]


def test_a_run_that_cannot_begin_leaves_the_model_as_it_was(model: ModelHandle) -> None:
    def fail(patcher: Any) -> None:
        raise RuntimeError("the pack has a fault")

    plain = run(model)
    own_format = model.model.latent_format
    broken = model.clone()
    broken.add_object_patch("latent_format", None)
    broken.set_injections("k", [patcher_extension.PatcherInjection(inject=fail, eject=fail)])
    with pytest.raises(RuntimeError, match="the pack has a fault"), broken.running():
        pass
    assert model.model.latent_format is own_format
    assert run(model).equal(plain)


def test_a_run_that_fails_leaves_the_model_as_it_was(model: ModelHandle) -> None:
    plain = run(model)
    broken = model.clone()

    def fail(args: dict[str, Any]) -> Tensor:
        raise RuntimeError("a pack's mistake")

    broken.set_model_sampler_post_cfg_function(fail)
    broken.add_object_patch("latent_format", None)
    with pytest.raises((RuntimeError, AttributeError)):
        run(broken)
    assert model.model.latent_format is not None and model.model.current_patcher is None
    assert torch.equal(run(model), plain)


def test_a_lora_of_a_pack_is_a_hook_of_the_conditionings_that_carry_it(model: ModelHandle) -> None:
    from comfy import hooks

    name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    lora = {f"{name}.lora_B.weight": torch.ones(16, 2), f"{name}.lora_A.weight": torch.ones(2, 16)}
    group = hooks.create_hook_lora(lora, strength_model=1.0, strength_clip=0.0)
    plain = run(model)
    changed = run(model, positive=hooks.set_hooks_for_conditioning(POSITIVE, group))
    assert not torch.allclose(changed, plain, atol=1e-3)
    assert torch.equal(run(model), plain)


def test_conditioning_with_hooks_of_other_kinds_is_refused_by_name(model: ModelHandle) -> None:
    from comfy import hooks

    group = hooks.HookGroup()
    group.add(hooks.Hook(hook_type=hooks.EnumHookType.Injections))
    with pytest.raises(InvalidInput, match=r"Injections' are not supported"):
        run(model, positive=hooks.set_hooks_for_conditioning(POSITIVE, group))
