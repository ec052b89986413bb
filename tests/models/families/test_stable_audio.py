"""Stable Audio: its file is recognised, built and evaluated as diffusers' pipeline does it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableAudioDiTModel, StableAudioPipeline
from safetensors.torch import save_file
from torch import Tensor

from executor.folders import Folders
from models.audio.vae import AudioVaeHandle
from models.errors import InvalidInput, UnsupportedLayout
from models.families.stable_audio_transformer import transformer_config
from models.load import load_checkpoint, load_unet
from models.memory import Policy
from models.model_files import checkpoint_tensors
from models.weights import Weights
from nodes.registry import NODE_CLASSES
from tests.models import tiny_stable_audio
from tests.models.text.encoders import with_t5_tokenizer
from tests.nodes.context import node_context

STEPS, CFG, SEED = 4, 3.5, 11
PROMPT, NEGATIVE = "a calm piano", "drums"


@pytest.fixture(scope="module")
def made() -> StableAudioPipeline:
    return tiny_stable_audio.pipeline()


@pytest.fixture(scope="module")
def folders(
    made: StableAudioPipeline, tmp_path_factory: pytest.TempPathFactory, policy: Policy
) -> Iterator[Folders]:
    with node_context(tmp_path_factory.mktemp("base"), policy=policy) as found:
        models = found.models_root
        with_t5_tokenizer(models)
        save_file(tiny_stable_audio.checkpoint(made), models / "checkpoints" / "sounds.safetensors")
        text = tiny_stable_audio.text_tensors(made)
        save_file(text, models / "text_encoders" / "t5-base.safetensors")
        yield found


def ran(name: str, *args: Any, **inputs: Any) -> Any:
    node_class = NODE_CLASSES[name]
    return getattr(node_class(), node_class.FUNCTION)(*args, **inputs)


def conditionings(clip: Any, start: float, total: float) -> Any:
    (positive,) = ran("CLIPTextEncode", clip=clip, text=PROMPT)
    (negative,) = ran("CLIPTextEncode", clip=clip, text=NEGATIVE)
    return ran("ConditioningStableAudio", positive, negative, start, total)


@torch.no_grad()
def expected(pipe: StableAudioPipeline, shape: tuple[int, ...]) -> Tensor:
    """The latent that steps of Euler's method give, with what the pipeline is told."""
    device = torch.device("cpu")
    text = pipe.encode_prompt(PROMPT, device, True, NEGATIVE)
    start, end = pipe.encode_duration(2.0, 30.5, device, True, 1)
    told = torch.cat([text, start, end], dim=1)
    seconds = torch.cat([start, end], dim=2)
    from diffusers.models.embeddings import get_1d_rotary_pos_embed

    turns = get_1d_rotary_pos_embed(
        pipe.rotary_embed_dim, shape[2] + 1, use_real=True, repeat_interleave_real=False
    )
    ends = torch.tensor([500.0, 0.3]).log()
    sigmas = [*torch.linspace(ends[0], ends[1], STEPS).exp(), torch.tensor(0.0)]
    x: Tensor = torch.randn(shape, generator=torch.Generator().manual_seed(SEED))
    x = x * (1 + sigmas[0] ** 2).sqrt()
    for sigma, after in itertools.pairwise(sigmas):
        seen = torch.cat([x, x]) / (sigma**2 + 1).sqrt()
        time = sigma.atan() / torch.pi * 2  # as the pipeline's scheduler tells it
        output = pipe.transformer(
            seen, time[None], encoder_hidden_states=told, global_hidden_states=seconds,
            rotary_embedding=turns, return_dict=False,
        )[0]  # fmt: skip
        without, with_prompt = output.chunk(2)
        velocity = without + CFG * (with_prompt - without)
        denoised = x / (sigma**2 + 1) - velocity * sigma / (sigma**2 + 1).sqrt()
        x = x + (x - denoised) / sigma * (after - sigma)
    return x


def test_a_workflow_makes_the_sound_that_diffusers_parts_make(
    made: StableAudioPipeline, folders: Folders
) -> None:
    model, clip, vae = ran("CheckpointLoaderSimple", "sounds.safetensors")
    assert clip is None
    (clip,) = ran("CLIPLoader", "t5-base.safetensors", "stable_audio")
    positive, negative = conditionings(clip, 2.0, 30.5)
    (empty,) = ran("EmptyLatentAudio", 1.0, 1)
    (result,) = ran("KSampler", model=model, seed=SEED, steps=STEPS, cfg=CFG, sampler_name="euler",
                    scheduler="exponential", positive=positive, negative=negative,
                    latent_image=empty, denoise=1.0)  # fmt: skip
    latent = expected(made, (1, 64, 22))
    assert result["samples"].shape == latent.shape
    assert (result["samples"] - latent).norm() / latent.norm() < 1e-4
    (sound,) = ran("VAEDecodeAudio", samples=result, vae=vae)
    wanted = made.vae.decode(result["samples"]).sample
    assert torch.allclose(sound["waveform"], wanted, atol=1e-5 * wanted.std().item())
    assert sound["sample_rate"] == 44100


def test_a_part_of_a_sound_is_made_anew(folders: Folders) -> None:
    model, _, vae = ran("CheckpointLoaderSimple", "sounds.safetensors")
    (clip,) = ran("CLIPLoader", "t5-base.safetensors", "stable_audio")
    positive, negative = conditionings(clip, 0.0, 47.0)
    samples = torch.randn(1, 64, 20, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 4, 20)
    mask[..., 10:] = 1
    latent = ran("SetLatentNoiseMask", {"samples": samples, "type": "audio"}, mask)[0]
    (result,) = ran("KSampler", model=model, seed=SEED, steps=2, cfg=1.0, sampler_name="euler",
                    scheduler="exponential", positive=positive, negative=negative,
                    latent_image=latent, denoise=1.0)  # fmt: skip
    kept, anew = (result["samples"] - samples).split(10, dim=-1)
    assert kept.abs().max() < 1e-4
    assert anew.abs().min() > 0
    assert isinstance(vae, AudioVaeHandle)


def test_prompts_of_other_encoders_are_refused(folders: Folders) -> None:
    model, _, _ = ran("CheckpointLoaderSimple", "sounds.safetensors")
    wrong = [[torch.zeros(1, 77, 768), {}]]
    (empty,) = ran("EmptyLatentAudio", 1.0, 1)
    with pytest.raises(InvalidInput, match="takes prompts of 32 features"):
        ran("KSampler", model=model, seed=1, steps=1, cfg=1.0, sampler_name="euler",
            scheduler="normal", positive=wrong, negative=wrong, latent_image=empty,
            denoise=1.0)  # fmt: skip


def test_a_checkpoint_that_is_saved_is_loaded_again(
    made: StableAudioPipeline, tmp_path: Path, policy: Policy
) -> None:
    first = tmp_path / "first.safetensors"
    save_file(tiny_stable_audio.checkpoint(made), first)
    loaded = load_checkpoint(first, policy)
    tensors = checkpoint_tensors(loaded.model, None, loaded.vae)
    save_file({name: t.contiguous() for name, t in tensors.items()}, tmp_path / "b.safetensors")
    again = load_checkpoint(tmp_path / "b.safetensors", policy)
    for part in (first, tmp_path / "b.safetensors"):
        assert load_unet(part, policy).network.names() == loaded.model.network.names()
    one, other = (each.model.network for each in (loaded, again))
    assert all(torch.equal(one.stored(name), other.stored(name)) for name in one.names())
    assert isinstance(again.vae, AudioVaeHandle)


def test_the_published_transformer_has_the_configuration_that_diffusers_has_for_it() -> None:
    with torch.device("meta"):
        module = StableAudioDiTModel()
    tensors = tiny_stable_audio.of_stable_audio_tools(module)
    found = transformer_config(Weights(path=Path("a"), tensors=tensors))
    assert found == {name: module.config[name] for name in found}


def test_other_versions_are_refused() -> None:
    tensors = {
        "transformer.project_in.weight": torch.zeros(128, 64),
        "transformer.layers.0.self_attn.q_norm.weight": torch.zeros(64),
    }
    with pytest.raises(UnsupportedLayout, match=r"Open 1\.0"):
        transformer_config(Weights(path=Path("a"), tensors=tensors))
