"""Whole workflows on tiny checkpoints against diffusers' own pipelines on the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from executor.folders import Folders
from models.memory import Policy
from nodes.registry import NODE_CLASSES
from tests.models.conftest import policy
from tests.models.families.test_class_vectors import diffusers_unet
from tests.models.text import encoders
from tests.models.text.encoders import clip_tokenizer_with
from tests.models.tiny import TinyModel, save
from tests.models.tiny_sdxl import LARGE, POOLED, SDXL, checkpoint, stated, text_of_sdxl
from tests.nodes.context import node_context

__all__ = ["policy"]

# diffusers hands tensors to numpy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

END = "<|endoftext|>"
STEPS, CFG, SEED = 4, 5.0, 7  # a network is told whole times where 999 is a multiple of STEPS - 1
PROMPT, NEGATIVE = "a photo of a cat", "blurry"
SD2 = TinyModel(channels=(16, 32), depths=(1, 1), is_linear=True, context=LARGE)


@pytest.fixture
def folders(tmp_path: Path, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy) as made:
        yield made


def ran(name: str, *args: Any, **inputs: Any) -> Any:
    """The outputs of a node."""
    node_class = NODE_CLASSES[name]
    return getattr(node_class(), node_class.FUNCTION)(*args, **inputs)


def write(folders: Folders, model: TinyModel, text: dict[str, Any], **said: Any) -> None:
    """The checkpoint that is loaded."""
    path = folders.models_root / "checkpoints" / "tiny.safetensors"
    save(path, checkpoint(model, text), stated(model, **said))


def drawn(loader: str, file: str) -> tuple[Tensor, Tensor]:
    """The latent and the picture of a workflow."""
    model, clip, vae = ran(loader, file)
    (positive,) = ran("CLIPTextEncode", clip=clip, text=PROMPT)
    (negative,) = ran("CLIPTextEncode", clip=clip, text=NEGATIVE)
    (latent,) = ran("EmptyLatentImage", width=64, height=96, batch_size=1)
    (result,) = ran("KSampler", model=model, seed=SEED, steps=STEPS, cfg=CFG, sampler_name="euler",
                    scheduler="normal", positive=positive, negative=negative, latent_image=latent,
                    denoise=1.0)  # fmt: skip
    (picture,) = ran("VAEDecode", samples=result, vae=vae)
    return result["samples"], picture


def scheduler(prediction: str) -> Any:
    from diffusers import EulerDiscreteScheduler

    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        timestep_spacing="linspace",
        steps_offset=1,
    )


def diffusers_vae(model: TinyModel, scale: float) -> Any:
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    config = {
        "block_out_channels": model.vae_channels,
        "layers_per_block": model.vae_blocks,
        "down_block_types": ["DownEncoderBlock2D"] * len(model.vae_channels),
        "up_block_types": ["UpDecoderBlock2D"] * len(model.vae_channels),
        "norm_num_groups": model.groups,
        "scaling_factor": scale,
        "force_upcast": False,
    }
    vae = AutoencoderKL(**config)
    named = {f"first_stage_model.{name}": tensor.float() for name, tensor in model.vae().items()}
    vae.load_state_dict(convert_ldm_vae_checkpoint(named, config))
    return vae.eval()


def expected(pipeline: Any, scale: float) -> tuple[Tensor, Tensor]:
    """The latent and the picture of a pipeline that starts from the same noise."""
    noise = torch.randn(1, 4, 12, 8, generator=torch.manual_seed(SEED))
    sigma = pipeline.scheduler.sigmas.max()  # the table's largest: latents count as noise there
    start = noise * (sigma**2 + 1).sqrt() / pipeline.scheduler.init_noise_sigma
    pipeline.set_progress_bar_config(disable=True)
    asked = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS,
             "guidance_scale": CFG, "width": 64, "height": 96, "latents": start}  # fmt: skip
    with torch.no_grad():
        latent = pipeline(**asked, output_type="latent").images / scale
        picture = pipeline(**asked, output_type="pt").images.movedim(1, -1)
    return latent, picture


def compare(pipeline: Any, scale: float, folders: Folders) -> None:
    """The checkpoint, and a folder that the pipeline is saved to, draw what it draws."""
    wanted_latent, wanted_picture = expected(pipeline, scale)
    pipeline.save_pretrained(folders.models_root / "diffusers" / "saved")
    sources = [("CheckpointLoaderSimple", "tiny.safetensors"), ("DiffusersLoader", "saved")]
    for loader, file in sources:
        latent, picture = drawn(loader, file)
        assert close(latent, wanted_latent) and close(picture, wanted_picture), loader


def close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).norm() / other.norm() < 1e-4)


def test_sdxl_draws_what_diffusers_pipeline_draws(folders: Folders) -> None:
    from diffusers import StableDiffusionXLPipeline

    text = text_of_sdxl()
    small, large = text.values()
    write(folders, SDXL, text)
    unet = diffusers_unet(
        SDXL,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=SDXL.label,
    )
    pipeline = StableDiffusionXLPipeline(
        vae=diffusers_vae(SDXL, 0.13025),
        text_encoder=small,
        text_encoder_2=as_transformers(large),
        tokenizer=clip_tokenizer_with(END),
        tokenizer_2=clip_tokenizer_with("!"),
        unet=unet,
        scheduler=scheduler("epsilon"),
        add_watermarker=False,
    )
    compare(pipeline, 0.13025, folders)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_sd_2_draws_what_diffusers_pipeline_draws(prediction: str, folders: Folders) -> None:
    from diffusers import StableDiffusionPipeline

    # As many layers as published: by their number it is told that diffusers has left out one.
    large = encoders.open_clip(width=LARGE, layers=24, projected=POOLED)
    write(folders, SD2, {"cond_stage_model.model.": large}, prediction_type=prediction)
    pipeline = StableDiffusionPipeline(
        vae=diffusers_vae(SD2, 0.18215),
        text_encoder=without_last_layer(as_transformers(large)),
        tokenizer=clip_tokenizer_with("!"),
        unet=diffusers_unet(SD2),
        scheduler=scheduler(prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    compare(pipeline, 0.18215, folders)


def as_transformers(text: Any) -> Any:
    """An encoder of open_clip as transformers has it, by diffusers' converter."""
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint

    layers = len(text.transformer.resblocks)
    module = encoders.clip(width=LARGE, layers=layers, act="gelu", projected=POOLED)
    tensors = convert_open_clip_checkpoint(module, dict(text.state_dict()), prefix="")
    module.load_state_dict(tensors, strict=False)
    return module


def without_last_layer(text: Any) -> Any:
    """The encoder as diffusers' files of Stable Diffusion 2 have it."""
    layers = text.config.num_hidden_layers - 1
    cut = encoders.clip(width=LARGE, layers=layers, act="gelu", projected=None)
    kept = {name.removeprefix("text_model."): tensor for name, tensor in text.state_dict().items()}
    cut.load_state_dict({name: kept[name.removeprefix("text_model.")] for name in cut.state_dict()})
    return cut
