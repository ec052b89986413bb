"""Conditionings against those of diffusers' pipelines, for encoders with the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.memory import Policy
from models.text.families import CHROMA, FLUX, SD2, SD3, SDXL, SDXL_REFINER, WAN
from tests.models.text import encoders
from tests.models.text.encoders import clip_tokenizer_with, handle, t5_tokenizer, with_t5_tokenizer

PROMPTS = ("a photo of a cat, oil on canvas", "")
END = "<|endoftext|>"


@pytest.mark.parametrize("prompt", PROMPTS)
def test_sdxl(prompt: str, policy: Policy) -> None:
    from diffusers import StableDiffusionXLPipeline

    small, large = encoders.clip(projected=None), encoders.clip(width=128, act="gelu", seed=2)
    pipeline = StableDiffusionXLPipeline(
        vae=None,
        text_encoder=small,
        text_encoder_2=large,
        tokenizer=clip_tokenizer_with(END),
        tokenizer_2=clip_tokenizer_with("!"),
        unet=None,
        scheduler=None,
    )
    wanted, _, pooled, _ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)
    ((cond, options),) = handle(SDXL, policy, l=small, g=large).encode_text(prompt)
    torch.testing.assert_close(cond, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(options["pooled_output"], pooled, atol=1e-5, rtol=1e-5)
    ((cond, options),) = handle(SDXL_REFINER, policy, g=large).encode_text(prompt)
    torch.testing.assert_close(cond, wanted[..., 64:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(options["pooled_output"], pooled, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_sd2_whose_last_layer_diffusers_has_cut_off(prompt: str, policy: Policy) -> None:
    from diffusers import StableDiffusionPipeline

    whole = encoders.clip(width=128, act="gelu", projected=None)
    cut = encoders.clip(width=128, layers=2, act="gelu", projected=None)
    cut.load_state_dict(whole.state_dict(), strict=False)
    pipeline = StableDiffusionPipeline(
        vae=None,
        text_encoder=cut,
        tokenizer=clip_tokenizer_with("!"),
        unet=None,
        scheduler=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    wanted, _ = pipeline.encode_prompt(prompt, "cpu", 1, do_classifier_free_guidance=False)
    ((cond, _),) = handle(SD2, policy, h=whole).encode_text(prompt)
    torch.testing.assert_close(cond, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_sd3(prompt: str, policy: Policy, tmp_path: Path) -> None:
    from diffusers import StableDiffusion3Pipeline

    small = encoders.clip(projected=64)
    # What CLIP-L pools is not projected in the reference; in diffusers it is.
    small.text_projection.weight.copy_(torch.eye(64))
    large, t5 = encoders.clip(width=128, act="gelu", seed=2), encoders.t5()
    pipeline = StableDiffusion3Pipeline(
        vae=None,
        text_encoder=small,
        text_encoder_2=large,
        text_encoder_3=t5,
        tokenizer=clip_tokenizer_with(END),
        tokenizer_2=clip_tokenizer_with("!"),
        tokenizer_3=t5_tokenizer(),
        transformer=None,
        scheduler=None,
    )
    wanted, _, pooled, _ = pipeline.encode_prompt(
        prompt, prompt, prompt, do_classifier_free_guidance=False, max_sequence_length=77
    )
    text = handle(SD3, policy, with_t5_tokenizer(tmp_path), l=small, g=large, t5xxl=t5)
    ((cond, options),) = text.encode_text(prompt)
    torch.testing.assert_close(cond, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(options["pooled_output"], pooled, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_flux(prompt: str, policy: Policy, tmp_path: Path) -> None:
    from diffusers import FluxPipeline

    small, t5 = encoders.clip(projected=None), encoders.t5()
    pipeline = FluxPipeline(
        vae=None,
        text_encoder=small,
        text_encoder_2=t5,
        tokenizer=clip_tokenizer_with(END),
        tokenizer_2=t5_tokenizer(),
        transformer=None,
        scheduler=None,
    )
    wanted, pooled, _ = pipeline.encode_prompt(prompt, prompt, max_sequence_length=256)
    text = handle(FLUX, policy, with_t5_tokenizer(tmp_path), l=small, t5xxl=t5)
    ((cond, options),) = text.encode_text(prompt)
    torch.testing.assert_close(cond, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(options["pooled_output"], pooled, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_chroma(prompt: str, policy: Policy, tmp_path: Path) -> None:
    from diffusers import ChromaPipeline

    t5 = encoders.t5()
    pipeline = ChromaPipeline(
        scheduler=None, vae=None, text_encoder=t5, tokenizer=t5_tokenizer(), transformer=None
    )
    wanted, _, mask, *_ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)
    text = handle(CHROMA, policy, with_t5_tokenizer(tmp_path), t5xxl=t5)
    ((cond, options),) = text.encode_text(prompt)
    torch.testing.assert_close(cond, wanted[:, : int(mask.sum())], atol=1e-5, rtol=1e-5)
    assert options["pooled_output"] is None
    text.set_tokenizer_option("t5xxl_min_padding", 0)  # as T5TokenizerOptions does
    ((shorter, _),) = text.encode_text(prompt)
    torch.testing.assert_close(shorter, cond[:, :-1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_wan(prompt: str, policy: Policy, tmp_path: Path) -> None:
    from diffusers import WanPipeline

    umt5 = encoders.umt5()
    pipeline = WanPipeline(t5_tokenizer(), umt5, None, None)
    wanted, _ = pipeline.encode_prompt(
        prompt, do_classifier_free_guidance=False, max_sequence_length=512
    )
    text = handle(WAN, policy, with_t5_tokenizer(tmp_path, "umt5xxl"), umt5xxl=umt5)
    ((cond, options),) = text.encode_text(prompt)
    torch.testing.assert_close(cond, wanted, atol=1e-5, rtol=1e-5)
    assert options["pooled_output"] is None
    ((weighted, _),) = text.encode_text(f"({prompt or 'a'}:1.5) end")
    assert weighted.shape == cond.shape
