"""Patches of attention and of blocks, by the original network's names of blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comfy.ldm.modules.attention import optimized_attention, wrap_attn
from torch import Tensor

from models.errors import InvalidInput
from models.handle import ModelHandle
from tests.compat.comfy_models.runs import prompt, run

# The tiny UNet: two levels of one residual block, attention at the first one and in the middle.
WITH_ATTENTION = [("input", 1), ("middle", 0), ("output", 2), ("output", 3)]
Told = dict[str, Any]


def same(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("kind", ["attn1", "attn2"])
def test_patches_of_inputs_see_every_block(model: ModelHandle, kind: str) -> None:
    plain = run(model, steps=1)
    seen: list[Told] = []

    def patch(n: Tensor, context: Tensor, value: Tensor, told: Told) -> Any:
        seen.append(told)
        assert context.shape[-1] == 16 or kind == "attn1"
        return n, context, value

    getattr(model, f"set_model_{kind}_patch")(patch)
    assert same(run(model, steps=1), plain)
    assert [told["block"] for told in seen] == WITH_ATTENTION
    assert all(told["block_index"] == 0 and told["n_heads"] == 4 for told in seen)
    assert seen[0]["cond_or_uncond"] == [0, 1] and seen[0]["original_shape"] == [2, 4, 8, 8]
    assert [told["activations_shape"] for told in seen][:2] == [[2, 16, 8, 8], [2, 32, 4, 4]]


def test_a_patch_of_cross_attention_may_change_the_prompt(model: ModelHandle) -> None:
    plain = run(model, cfg=1.0, positive=prompt(5))
    other = prompt(5)[0][0]
    model.set_model_attn2_patch(lambda n, context, value, told: (n, other, other))
    assert same(run(model, cfg=1.0), plain)


def test_a_replacement_computes_the_attention_of_its_block(model: ModelHandle) -> None:
    plain = run(model)
    blocks: list[Any] = []

    def compute(q: Tensor, k: Tensor, v: Tensor, told: Told) -> Tensor:
        blocks.append(told["block"])
        return optimized_attention(q, k, v, told["n_heads"])

    model.set_model_attn2_replace(compute, "input", 1)
    model.set_model_attn2_replace(compute, "output", 3, 0)
    model.set_model_attn2_replace(compute, "output", 3, 7)  # there is no such transformer
    assert same(run(model), plain)
    assert blocks == [("input", 1), ("output", 3)] * 3
    model.set_model_attn1_replace(lambda q, k, v, told: torch.zeros_like(q), "middle", 0)
    assert not same(run(model), plain)


def test_an_attention_of_a_pack_takes_the_place_of_all(model: ModelHandle) -> None:
    plain = run(model, steps=1)
    heads: list[int] = []

    def override(func: Any, q: Tensor, k: Tensor, v: Tensor, n: int, **options: Any) -> Any:
        heads.append(n)
        return func(q, k, v, n, **options)

    model.model_options["transformer_options"]["optimized_attention_override"] = override
    assert same(run(model, steps=1), plain) and heads == [4] * 8


def test_an_attention_of_a_pack_may_be_wrapped_and_call_ours(model: ModelHandle) -> None:
    plain = run(model, steps=1)
    heads: list[int] = []

    @wrap_attn
    def theirs(q: Tensor, k: Tensor, v: Tensor, n: int, **options: Any) -> Tensor:
        heads.append(n)
        return optimized_attention(q, k, v, n, **options)

    def override(func: Any, *args: Any, **options: Any) -> Any:
        return theirs(*args, **options)

    model.model_options["transformer_options"]["optimized_attention_override"] = override
    assert same(run(model, steps=1), plain) and heads == [4] * 8
    told = {"transformer_options": {"optimized_attention_override": lambda func, *_, **__: "mine"}}
    q = torch.zeros(1, 2, 4)
    assert optimized_attention(q, q, q, 1, **told) == "mine"
    assert theirs.__name__ == "theirs" and hasattr(theirs, "__wrapped__")


@pytest.mark.parametrize("kind", ["attn1", "attn2"])
def test_output_patches_are_as_good_as_replacements(model: ModelHandle, kind: str) -> None:
    replaced, patched = model.clone(), model.clone()
    for block in WITH_ATTENTION:
        getattr(replaced, f"set_model_{kind}_replace")(lambda q, k, v, told: q * 0 + 1, *block)
    outputs: list[Tensor] = []

    def keep(n: Tensor, told: Told) -> Tensor:
        outputs.append(n)
        return n

    getattr(replaced, f"set_model_{kind}_output_patch")(keep)
    wanted = run(replaced, steps=1)
    later = iter(outputs)
    getattr(patched, f"set_model_{kind}_output_patch")(lambda n, told: next(later))
    assert same(run(patched, steps=1), wanted)


def test_block_patches_see_the_original_blocks_in_order(model: ModelHandle) -> None:
    plain = run(model, steps=1)
    seen: list[tuple[Any, ...]] = []

    def down(h: Tensor, told: Told) -> Tensor:
        seen.append((*told["block"], tuple(h.shape[1:])))
        return h

    def up(h: Tensor, skip: Tensor, told: Told) -> tuple[Tensor, Tensor]:
        seen.append((*told["block"], tuple(h.shape[1:]), tuple(skip.shape[1:])))
        return h, skip

    model.set_model_input_block_patch(down)
    model.set_model_output_block_patch(up)
    assert same(run(model, steps=1), plain)
    assert seen == [
        ("input", 0, (16, 8, 8)),
        ("input", 1, (16, 8, 8)),
        ("input", 2, (16, 4, 4)),
        ("input", 3, (32, 4, 4)),
        ("output", 0, (32, 4, 4), (32, 4, 4)),
        ("output", 1, (32, 4, 4), (16, 4, 4)),
        ("output", 2, (32, 8, 8), (16, 8, 8)),
        ("output", 3, (16, 8, 8), (16, 8, 8)),
    ]


def test_a_block_may_be_changed_before_or_after_its_skip(model: ModelHandle) -> None:
    skips: list[Tensor] = []

    def keep(h: Tensor, skip: Tensor, told: Told) -> tuple[Tensor, Tensor]:
        if told["block"] == ("output", 0):
            skips.append(skip)
        return h, skip

    def silence(h: Tensor, told: Told) -> Tensor:
        return h * 0 if told["block"] == ("input", 3) else h

    before, after = model.clone(), model.clone()
    before.set_model_input_block_patch(silence)
    after.set_model_input_block_patch_after_skip(silence)
    for changed in (before, after):
        changed.set_model_output_block_patch(keep)
        assert not same(run(changed, steps=1), run(model, steps=1))
    assert not skips[0].any() and skips[1].any()


def test_the_embedding_of_time_may_be_changed(model: ModelHandle) -> None:
    plain = run(model)
    widths: list[int] = []

    def patch(emb: Tensor, width: int, told: Told) -> Tensor:
        widths.append(width)
        return emb * 0

    changed = model.clone()
    changed.set_model_patch(patch, "emb_patch")
    assert not same(run(changed), plain) and widths == [16] * 3


def test_the_network_is_as_before_after_a_run(model: ModelHandle) -> None:
    plain = run(model)
    changed = model.clone()
    changed.set_model_attn1_patch(lambda n, context, value, told: (n * 0, context, value))
    changed.set_model_input_block_patch(lambda h, told: h * 0)
    assert not same(run(changed), plain)
    assert torch.equal(run(model), plain)


def test_a_patch_that_fails_leaves_the_network_as_before(model: ModelHandle) -> None:
    plain = run(model)
    changed = model.clone()
    changed.set_model_attn1_patch(lambda n: n)
    with pytest.raises(TypeError):
        run(changed)
    assert torch.equal(run(model), plain)


def test_other_kinds_of_patches_are_refused_by_name(model: ModelHandle) -> None:
    model.set_model_patch(lambda *args: args[0], "double_block")
    with pytest.raises(InvalidInput, match="no layers for patches of the kind 'double_block'"):
        run(model)
