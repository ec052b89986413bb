from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.handle import ModelHandle
from models.load import unet_of
from models.memory import Policy
from models.protocol.sampling import sample_latent
from models.protocol.transformer import whole_patches
from models.weights import open_weights
from tests.models import tiny_sd3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> ModelHandle:
    path = tmp_path_factory.mktemp("sd3") / "a.safetensors"
    tiny_sd3.save_transformer(path, tiny_sd3.transformer(tiny_sd3.MEDIUM_35))
    return unet_of(open_weights(path), policy)


def said(model: ModelHandle, given: dict[str, Tensor], **more: Any) -> Tensor:
    output: Tensor = model.model.diffusion_model(**given, **more)
    return output


def evaluated(model: ModelHandle, given: dict[str, Tensor], **more: Any) -> Tensor:
    return tiny_sd3.evaluated(model.network.module, given, **more)


def replacing(function: Any, *blocks: int) -> dict[str, Any]:
    return {"patches_replace": {"dit": {("double_block", block): function for block in blocks}}}


def test_both_ways_of_sampling_call_the_same_network(model: ModelHandle) -> None:
    given = tiny_sd3.inputs()
    x, sigma, context = given["x"], given["timesteps"] / 1000, given["context"]
    quick = model.denoised(x, sigma, context, y=given["y"])
    long = model.model.apply_model(x, sigma, c_crossattn=context, y=given["y"])
    assert torch.equal(quick, long)
    velocity = evaluated(model, given)
    assert torch.allclose(quick, x - sigma.reshape(-1, 1, 1, 1) * velocity, atol=1e-5)


def test_prompts_of_different_lengths_do_not_share_a_call(model: ModelHandle) -> None:
    """Repeated tokens would be attended to twice."""
    given = tiny_sd3.inputs(batch=1)
    pooled = {"pooled_output": given["y"]}
    long, short = [[given["context"].repeat(1, 2, 1) + 0.1, pooled]], [[given["context"], pooled]]
    wrapped = model.clone()
    wrapped.set_model_unet_function_wrapper(
        lambda call, args: call(args["input"], args["timestep"], **args["c"])
    )

    def sampled(model: ModelHandle, positive: Any, negative: Any, cfg: float) -> Tensor:
        latent: Tensor = sample_latent(
            model,
            {"samples": torch.zeros(1, 16, 8, 8)},
            seed=1,
            steps=1,
            cfg=cfg,
            sampler_name="euler",
            scheduler="normal",
            positive=positive,
            negative=negative,
        )["samples"]
        return latent  # fmt: skip

    positive, negative = (sampled(model, side, side, 1.0) for side in (long, short))
    expected = negative + 2.0 * (positive - negative)
    for each in (model, wrapped):
        assert torch.allclose(sampled(each, long, short, 2.0), expected, atol=1e-4)


def test_a_latent_of_odd_size_is_seen_in_whole_patches(model: ModelHandle) -> None:
    given = tiny_sd3.inputs(height=7, width=11)
    wrapped = given | {"x": whole_patches(given["x"], 2)}
    assert wrapped["x"].shape[-2:] == (8, 12)
    assert torch.equal(wrapped["x"][..., 7, :11], given["x"][..., 0, :])
    assert torch.equal(said(model, given), evaluated(model, wrapped)[..., :7, :11])


def test_a_skipped_block_is_left_out(model: ModelHandle) -> None:
    given = tiny_sd3.inputs()
    found = said(model, given, transformer_options=replacing(lambda args, _: args, 1))
    assert torch.equal(found, evaluated(model, given, skip_layers=[1]))
    assert not torch.allclose(found, evaluated(model, given), atol=1e-2)


def test_a_replacement_can_call_the_block_and_knows_its_place(model: ModelHandle) -> None:
    given, seen = tiny_sd3.inputs(), []

    def function(args: dict[str, Any], more: dict[str, Any]) -> Any:
        seen.append((args["transformer_options"]["block"], args["txt"].shape[1]))
        return more["original_block"](args)

    found = said(model, given, transformer_options=replacing(function, 0, 2))
    assert seen == [(("double_block", 0), 7), (("double_block", 2), 7)]
    assert torch.equal(found, evaluated(model, given))
    assert "forward" not in vars(model.network.module.transformer_blocks[0])


def test_a_replacement_that_fails_leaves_no_trace(model: ModelHandle) -> None:
    def function(args: dict[str, Any], more: dict[str, Any]) -> Any:
        raise ZeroDivisionError

    given = tiny_sd3.inputs()
    with pytest.raises(ZeroDivisionError):
        said(model, given, transformer_options=replacing(function, 1))
    assert torch.equal(said(model, given), evaluated(model, given))


def test_controls_are_added_after_the_blocks(model: ModelHandle) -> None:
    given = tiny_sd3.inputs()
    parts = [torch.linspace(-1, 1, 2 * 24 * 16).reshape(2, 24, 16), None]  # 4 x 6 patches
    found = said(model, given, control={"output": parts, "middle": [], "input": []})
    states = [parts[0], 0.0, 0.0]
    assert torch.equal(found, evaluated(model, given, block_controlnet_hidden_states=states))
    assert not torch.allclose(found, evaluated(model, given), atol=1e-2)


def test_a_function_may_compute_all_attention(model: ModelHandle) -> None:
    given, seen = tiny_sd3.inputs(), []

    def override(ours: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, **more: Any) -> Tensor:
        seen.append((q.shape, heads, "transformer_options" in more))
        found: Tensor = ours(q, k, v, heads)
        return found

    options = {"optimized_attention_override": override}
    found = said(model, given, transformer_options=options)
    both, alone = (torch.Size((2, tokens, 16)) for tokens in (24 + 7, 24))
    # Two of the three blocks have a second attention, which does not see the prompt.
    assert seen == [(s, 2, True) for s in (both, alone, both, alone, both)]
    assert torch.allclose(found, evaluated(model, given), atol=1e-5)


def test_patches_for_layers_of_unets_do_nothing_and_are_reported_once(
    model: ModelHandle, caplog: pytest.LogCaptureFixture
) -> None:
    given = tiny_sd3.inputs()
    options = {"patches": {"patch_of_no_kind": [lambda *_: None]}}
    with caplog.at_level(logging.WARNING):
        found = [said(model, given, transformer_options=options) for _ in range(2)]
    assert torch.equal(found[0], evaluated(model, given))
    assert caplog.text.count("patch_of_no_kind") == 1


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("x", torch.zeros(2, 16, 8, 18), "128 pixels along a side"),
        ("context", torch.zeros(2, 7, 30), r"width 24 and 20 \(pooled\), not of 30 and 20"),
        ("y", torch.zeros(2, 12), r"not of 24 and 12"),
        ("y", None, "without a prompt"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    name: str, value: Any, reason: str, model: ModelHandle
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        said(model, tiny_sd3.inputs() | {name: value})


def test_a_prompt_that_is_not_pooled_is_refused(model: ModelHandle) -> None:
    with pytest.raises(InvalidInput, match="not pooled"):
        model.model.extra_conds(cross_attn=torch.zeros(1, 7, 24), device="cpu")
