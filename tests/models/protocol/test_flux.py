"""The network under its original interface, against diffusers' own forward and pipelines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import FluxFillPipeline, FluxPipeline
from torch import Tensor

from models.errors import InvalidInput
from models.handle import ModelHandle
from models.load import unet_of
from models.protocol.flux import FluxTransformer, patchify, unpatchify
from models.protocol.flux_model import FluxControl, FluxFill
from nodes.rope import ScaleROPE
from tests.models.tiny_flux import TinyFlux, inputs

TINY = TinyFlux()
NO_TEXT = torch.zeros(5, 3)


@pytest.fixture(scope="module")
def handle() -> ModelHandle:
    return TINY.handle()


def network(handle: ModelHandle) -> FluxTransformer:
    found = handle.model.diffusion_model
    assert isinstance(found, FluxTransformer)
    return found


def ids(height: int, width: int, index: float = 0.0) -> Tensor:
    """As the pipelines of diffusers make them, for latents of this size."""
    made: Tensor = FluxPipeline._prepare_latent_image_ids(
        1, height // 2, width // 2, torch.device("cpu"), torch.float32
    )
    made[:, 0] = index
    return made


def packed(latent: Tensor) -> Tensor:
    made: Tensor = FluxPipeline._pack_latents(latent, *latent.shape)
    return made


def by_diffusers(handle: ModelHandle, tokens: Tensor, places: Tensor, **given: Any) -> Tensor:
    """The tokens that diffusers' own forward gives."""
    arguments = inputs(TINY)
    with torch.no_grad():
        found: Tensor = handle.network.module(
            hidden_states=tokens,
            encoder_hidden_states=arguments["context"],
            pooled_projections=arguments["y"],
            timestep=arguments["timesteps"],
            guidance=arguments["guidance"],
            txt_ids=NO_TEXT,
            img_ids=places,
            return_dict=False,
            **given,
        )[0]
    return found


def close(actual: Tensor, expected: Tensor) -> bool:
    return actual.shape == expected.shape and torch.allclose(actual, expected, atol=2e-5)


def test_tokens_are_patches_as_in_diffusers() -> None:
    latent = inputs(TINY)["x"]
    assert torch.equal(patchify(latent), packed(latent))
    assert torch.equal(unpatchify(packed(latent), (3, 4)), latent)


def test_a_call_is_that_of_diffusers(handle: ModelHandle) -> None:
    arguments = inputs(TINY)
    actual = network(handle)(**arguments)
    x = arguments["x"]
    assert close(packed(actual), by_diffusers(handle, packed(x), ids(*x.shape[-2:])))


def test_a_side_that_is_odd_is_padded_from_the_other_side(handle: ModelHandle) -> None:
    arguments = inputs(TINY, height=5, width=7)
    x = arguments["x"]
    whole = torch.cat([x, x[:, :, :1]], dim=2)
    whole = torch.cat([whole, whole[..., :1]], dim=3)
    expected = network(handle)(**(arguments | {"x": whole}))
    assert close(network(handle)(**arguments), expected[:, :, :5, :7])


def test_a_picture_to_refer_to_has_the_positions_of_kontext(handle: ModelHandle) -> None:
    arguments = inputs(TINY)
    reference = torch.randn(2, 16, 4, 6, generator=torch.Generator().manual_seed(5))
    actual = network(handle)(**arguments, ref_latents=[reference])
    x = arguments["x"]
    tokens = torch.cat([packed(x), packed(reference)], dim=1)
    expected = by_diffusers(handle, tokens, torch.cat([ids(6, 8), ids(4, 6, index=1)]))
    assert close(packed(actual), expected[:, :12])


def test_positions_of_pictures_can_be_scaled_and_shifted(handle: ModelHandle) -> None:
    (moved,) = ScaleROPE().run(
        handle, scale_x=0.5, shift_x=1.0, scale_y=2.0, shift_y=-3.0, scale_t=1.0, shift_t=4.0
    )
    assert not handle.model_options["transformer_options"]
    arguments = inputs(TINY)
    actual = network(handle)(
        **arguments, transformer_options=moved.model_options["transformer_options"]
    )
    x = arguments["x"]
    places = ids(*x.shape[-2:]) * torch.tensor([1.0, 2.0, 0.5]) + torch.tensor([4.0, -3.0, 1.0])
    assert close(packed(actual), by_diffusers(handle, packed(x), places))


def test_controls_are_added_after_their_blocks(handle: ModelHandle) -> None:
    arguments = inputs(TINY)
    generator = torch.Generator().manual_seed(6)
    parts = [torch.randn(2, 12, TINY.width, generator=generator) for _ in range(4)]
    control = {"input": parts[:2], "output": parts[2:]}
    actual = network(handle)(**arguments, control=control)
    x = arguments["x"]
    expected = by_diffusers(
        handle, packed(x), ids(6, 8),
        controlnet_block_samples=parts[:2], controlnet_single_block_samples=parts[2:],
    )  # fmt: skip
    assert close(packed(actual), expected)


def test_a_control_is_for_the_latent_and_not_for_pictures_to_refer_to(handle: ModelHandle) -> None:
    arguments = inputs(TINY) | {"ref_latents": [torch.zeros(2, 16, 2, 2)]}
    nothing = {"input": [torch.zeros(2, 12, TINY.width), None], "output": []}
    assert close(network(handle)(**arguments, control=nothing), network(handle)(**arguments))


def test_without_guidance_the_embedding_is_left_out(handle: ModelHandle) -> None:
    arguments = inputs(TINY)
    guided = network(handle)(**arguments)
    free = network(handle)(**(arguments | {"guidance": None}))
    assert not torch.allclose(guided, free)


def test_a_bias_changes_what_is_seen_of_the_prompt(handle: ModelHandle) -> None:
    arguments = inputs(TINY)
    bias = torch.zeros(2, 5)
    assert close(network(handle)(**arguments, attention_bias=bias), network(handle)(**arguments))
    bias[:, 2:] = float("-inf")
    shorter = arguments | {"context": arguments["context"][:, :2]}
    assert close(network(handle)(**arguments, attention_bias=bias), network(handle)(**shorter))


def test_blocks_can_be_replaced(handle: ModelHandle) -> None:
    arguments = inputs(TINY)
    seen: list[tuple[Any, ...]] = []

    def unchanged(args: dict[str, Any], extra: dict[str, Any]) -> Any:
        seen.append((*args["transformer_options"]["block"], args["img"].shape[1]))
        return extra["original_block"](args)

    places = [("double_block", 1), ("single_block", 0)]
    options = {"patches_replace": {"dit": dict.fromkeys(places, unchanged)}}
    actual = network(handle)(**arguments, transformer_options=options)
    assert close(actual, network(handle)(**arguments))
    assert seen == [("double_block", 1, 12), ("single_block", 0, 17)]


def test_a_block_that_is_skipped_does_nothing(handle: ModelHandle) -> None:
    def skipped(args: dict[str, Any], extra: dict[str, Any]) -> Any:
        return args

    places = [("double_block", 0), ("single_block", 1)]
    options = {"patches_replace": {"dit": dict.fromkeys(places, skipped)}}
    actual = network(handle)(**inputs(TINY), transformer_options=options)
    kept = {
        name.replace("double_blocks.1.", "double_blocks.0."): tensor
        for name, tensor in TINY.tensors().items()
        if not name.startswith(("double_blocks.0.", "single_blocks.1."))
    }
    other = unet_of(replace(TINY.weights(), tensors=kept), handle.policy)
    assert close(actual, network(other)(**inputs(TINY)))


def test_attention_can_be_overridden(handle: ModelHandle) -> None:
    calls = []

    def override(attention: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(args[3])
        return attention(*args, **kwargs)

    options = {"optimized_attention_override": override}
    actual = network(handle)(**inputs(TINY), transformer_options=options)
    assert close(actual, network(handle)(**inputs(TINY)))
    assert calls == [2, 2, 2, 2]


def test_what_a_call_lacks_is_said(handle: ModelHandle) -> None:
    with pytest.raises(InvalidInput, match="pooled"):
        network(handle)(**(inputs(TINY) | {"y": None}))
    with pytest.raises(InvalidInput, match="width 24 and 20"):
        network(handle)(**(inputs(TINY) | {"context": torch.zeros(2, 5, 16)}))
    with pytest.raises(InvalidInput, match=r"not of 24 and 16"):
        network(handle)(**(inputs(TINY) | {"y": torch.zeros(2, 16)}))
    with pytest.raises(InvalidInput, match="sees 16 channels and was given 20"):
        network(handle)(**(inputs(TINY) | {"x": torch.zeros(2, 20, 4, 4)}))
    with pytest.raises(InvalidInput, match="channels"):
        network(handle)(**inputs(TINY), ref_latents=[torch.zeros(2, 4, 4, 4)])
    with pytest.raises(InvalidInput, match="index_timestep_zero"):
        network(handle)(
            **inputs(TINY),
            ref_latents=[torch.zeros(2, 16, 4, 4)],
            ref_latents_method="index_timestep_zero",
        )


# What conditionings say


def conds(handle: ModelHandle, **options: Any) -> dict[str, Any]:
    noise = torch.zeros(2, 16, 4, 6)
    said = {"device": torch.device("cpu"), "noise": noise, "cross_attn": torch.zeros(1, 5, 24)}
    return handle.model.extra_conds(**(said | options))


def test_guidance_is_3_5_unless_a_conditioning_says_so_or_takes_it_away(
    handle: ModelHandle,
) -> None:
    assert conds(handle)["guidance"].cond.tolist() == [3.5]
    assert conds(handle, guidance=7)["guidance"].cond.tolist() == [7.0]
    assert "guidance" not in conds(handle, guidance=None)


def test_without_a_pooled_output_there_are_zeros(handle: ModelHandle) -> None:
    assert conds(handle)["y"].cond.tolist() == [[0.0] * 20]


def test_prompts_of_other_lengths_do_not_join_a_batch(handle: ModelHandle) -> None:
    short, long = (conds(handle, cross_attn=torch.zeros(1, n, 24)) for n in (4, 8))
    assert not short["c_crossattn"].can_concat(long["c_crossattn"])


def test_pictures_to_refer_to_come_into_model_space(handle: ModelHandle) -> None:
    raw = torch.ones(1, 16, 4, 4)
    found = conds(handle, reference_latents=[raw], reference_latents_method="index")
    assert torch.allclose(found["ref_latents"].cond[0], (raw - 0.1159) * 0.3611)
    assert found["ref_latents_method"].cond == "index"


def test_a_map_beside_the_latent_is_in_model_space() -> None:
    handle = TinyFlux(channels=128).handle()
    assert isinstance(handle.model, FluxControl)
    raw = torch.ones(1, 16, 4, 6)
    found = conds(handle, concat_latent_image=raw)["c_concat"].cond
    assert torch.allclose(found, ((raw - 0.1159) * 0.3611).expand(2, -1, -1, -1))
    assert conds(handle)["c_concat"].cond.count_nonzero() == 0


def test_what_fill_sees_is_that_of_diffusers_pipeline() -> None:
    model = TinyFlux(channels=384)
    handle = model.handle()
    assert isinstance(handle.model, FluxFill)
    generator = torch.Generator().manual_seed(8)
    raw = torch.randn(1, 16, 4, 6, generator=generator)
    mask = (torch.rand(1, 32, 48, generator=generator) > 0.5).float()
    found = conds(handle, concat_latent_image=raw, concat_mask=mask)["c_concat"].cond

    class Scales:
        vae_scale_factor = 8
        vae = type("Vae", (), {"config": type("C", (), {"shift_factor": 0.1159,
                                                        "scaling_factor": 0.3611})})  # fmt: skip
        _pack_latents = staticmethod(FluxPipeline._pack_latents)

    packed_mask, _ = FluxFillPipeline.prepare_mask_latents(
        Scales(), mask[None], raw, 2, 16, 1, 32, 48, torch.float32, torch.device("cpu"), generator
    )
    assert torch.equal(patchify(found[:, 16:]), packed_mask)
    assert torch.allclose(found[0, :16], (raw[0] - 0.1159) * 0.3611)


def test_fill_paints_everything_without_a_mask() -> None:
    found = conds(TinyFlux(channels=384).handle())["c_concat"].cond
    assert found[:, :16].count_nonzero() == 0
    assert bool((found[:, 16:] == 1).all())
