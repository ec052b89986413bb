"""Whole workflows of a tiny Wan against diffusers' own pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from executor.folders import Folders
from models.memory import Policy
from nodes.registry import NODE_CLASSES
from tests.models import tiny_wan
from tests.models.conftest import policy
from tests.models.film.test_wan_vae import original_names
from tests.models.film.test_wan_vae import tiny_wan as tiny_vae
from tests.models.text import encoders
from tests.models.tiny import save
from tests.nodes.context import node_context

__all__ = ["policy"]

# diffusers hands tensors to numpy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STEPS, CFG, SEED, SHIFT = 3, 4.0, 7, 5.0
WIDTH, HEIGHT, LENGTH = 64, 64, 5
PROMPT, NEGATIVE = "a photo of a cat", "blurry"
STATED = {"unet": {"num_attention_heads": tiny_wan.HEADS}}


@pytest.fixture
def folders(tmp_path: Path, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy) as made:
        encoders.with_t5_tokenizer(made.models_root, "umt5xxl")
        yield made


def parts(vae: str = "2.1", **config: Any) -> dict[str, Any]:
    """What the pipelines of diffusers are made of."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    return {
        "tokenizer": encoders.t5_tokenizer(),
        "text_encoder": encoders.umt5(),
        "transformer": tiny_wan.transformer(text_dim=48, **config),
        "vae": tiny_vae(vae),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=SHIFT),
    }


def expected(pipeline: Any, **more: Any) -> Tensor:
    """Frames [T, H, W, 3], of the noise of the seed."""
    vae = pipeline.vae.config
    sides = (2, HEIGHT // vae.scale_factor_spatial, WIDTH // vae.scale_factor_spatial)
    noise = torch.randn(1, vae.z_dim, *sides, generator=torch.manual_seed(SEED))
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        made: Tensor = pipeline(
            prompt=PROMPT,
            negative_prompt=NEGATIVE,
            num_inference_steps=STEPS,
            guidance_scale=CFG,
            width=WIDTH,
            height=HEIGHT,
            num_frames=LENGTH,
            latents=noise,
            output_type="pt",
            **more,
        ).frames
    return made[0].movedim(1, -1)


def save_parts(folders: Folders, made: dict[str, Any]) -> None:
    """A file for each part, as they were published."""
    root = folders.models_root
    text = encoders.tensors_of({"": made["text_encoder"]})
    text.pop("encoder.embed_tokens.weight", None)  # as shared.weight
    transformer = tiny_wan.tensors(made["transformer"])
    save(root / "diffusion_models" / "wan.safetensors", transformer, STATED)
    save_file(text, root / "text_encoders" / "umt5.safetensors")
    save_file(original_names(made["vae"].state_dict()), root / "vae" / "wan_vae.safetensors")


def ran(name: str, *args: Any, **inputs: Any) -> Any:
    node_class = NODE_CLASSES[name]
    return getattr(node_class(), node_class.FUNCTION)(*args, **inputs)


def filmed(image: Tensor | None, node: str = "WanImageToVideo") -> Tensor:
    """The frames of a workflow."""
    (model,) = ran("UNETLoader", "wan.safetensors", "default")
    (clip,) = ran("CLIPLoader", "umt5.safetensors", "wan")
    (vae,) = ran("VAELoader", "wan_vae.safetensors")
    (positive,) = ran("CLIPTextEncode", clip=clip, text=PROMPT)
    (negative,) = ran("CLIPTextEncode", clip=clip, text=NEGATIVE)
    size = {"width": WIDTH, "height": HEIGHT, "length": LENGTH, "batch_size": 1}
    if image is None:
        (latent,) = ran("EmptyHunyuanLatentVideo", **size)
    elif node == "Wan22ImageToVideoLatent":
        (latent,) = ran(node, vae=vae, start_image=image, **size)
    else:
        positive, negative, latent = ran(
            node, positive=positive, negative=negative, vae=vae, start_image=image,
            **size,
        )  # fmt: skip
    (result,) = ran(
        "KSampler", model=model, seed=SEED, steps=STEPS, cfg=CFG, sampler_name="euler",
        scheduler="normal", positive=positive, negative=negative, latent_image=latent, denoise=1.0,
    )  # fmt: skip
    (frames,) = ran("VAEDecode", samples=result, vae=vae)
    assert isinstance(frames, Tensor)
    return frames


def test_a_film_of_a_text_is_that_of_diffusers_pipeline(folders: Folders) -> None:
    from diffusers import WanPipeline

    made = parts()
    save_parts(folders, made)
    frames, wanted = filmed(None), expected(WanPipeline(**made))
    assert frames.shape == wanted.shape == (LENGTH, HEIGHT, WIDTH, 3)
    assert (frames - wanted).norm() / wanted.norm() < 1e-3


def test_a_film_of_a_picture_is_that_of_diffusers_pipeline(folders: Folders) -> None:
    from diffusers import WanImageToVideoPipeline

    made = parts(in_channels=36)
    save_parts(folders, made)
    image = torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(3))
    pipeline = WanImageToVideoPipeline(**made)
    frames, wanted = filmed(image), expected(pipeline, image=image.movedim(-1, 1))
    assert (frames - wanted).norm() / wanted.norm() < 1e-3


def test_the_small_model_is_told_which_frames_are_given(folders: Folders) -> None:
    from diffusers import WanImageToVideoPipeline

    made = parts("2.2", in_channels=48, out_channels=48)
    save_parts(folders, made)
    image = torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(3))
    pipeline = WanImageToVideoPipeline(**made, expand_timesteps=True)
    frames = filmed(image, "Wan22ImageToVideoLatent")
    wanted = expected(pipeline, image=image.movedim(-1, 1))
    assert (frames - wanted).norm() / wanted.norm() < 1e-3
