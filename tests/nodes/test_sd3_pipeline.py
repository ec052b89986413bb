"""A whole workflow of a tiny Stable Diffusion 3.5 against diffusers' own pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from executor.folders import Folders
from models.families.diffusers_names import with_original_names
from models.memory import Policy
from models.weights import Weights
from nodes.registry import NODE_CLASSES
from tests.models import tiny_sd3
from tests.models.conftest import policy
from tests.models.text import encoders
from tests.models.tiny import save
from tests.nodes.context import node_context

__all__ = ["policy"]

# diffusers hands tensors to numpy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CONFIG = tiny_sd3.MEDIUM_35 | {"joint_attention_dim": 256, "pooled_projection_dim": 64 + 32}
STEPS, CFG, SEED = 4, 5.0, 7
PROMPT, NEGATIVE = "a photo of a cat", "blurry"
SCALE, SHIFT = 1.5305, 0.0609
STATED = tiny_sd3.STATED | {
    "vae": {"norm_num_groups": 4},
    "text_encoder_2": {"hidden_act": "gelu"},
}
PREFIXES = {
    "text_encoder": "text_encoders.clip_l.transformer.",
    "text_encoder_2": "text_encoders.clip_g.transformer.",
    "text_encoder_3": "text_encoders.t5xxl.transformer.",
}


@pytest.fixture
def folders(tmp_path: Path, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy) as made:
        encoders.with_t5_tokenizer(made.models_root)
        yield made


def pipeline() -> Any:
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline

    small = encoders.clip(projected=64)
    # The reference, as recorded, takes what CLIP-L pools as it is; diffusers projects it.
    small.text_projection.weight.data.copy_(torch.eye(64))
    with torch.random.fork_rng():
        torch.manual_seed(2)
        vae = AutoencoderKL(
            latent_channels=16,
            block_out_channels=(8, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=4,
            scaling_factor=SCALE,
            shift_factor=SHIFT,
            use_quant_conv=False,
            use_post_quant_conv=False,
            force_upcast=False,
        ).eval()
    return StableDiffusion3Pipeline(
        transformer=tiny_sd3.transformer(CONFIG),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=small,
        tokenizer=encoders.clip_tokenizer_with("<|endoftext|>"),
        text_encoder_2=encoders.clip(128, act="gelu"),
        tokenizer_2=encoders.clip_tokenizer_with("!"),
        text_encoder_3=encoders.t5(),
        tokenizer_3=encoders.t5_tokenizer(),
    )


def expected(pipeline: Any) -> tuple[Tensor, Tensor]:
    """The raw latent and the picture, of the noise of the seed."""
    noise = torch.randn(1, 16, 12, 8, generator=torch.manual_seed(SEED))
    pipeline.set_progress_bar_config(disable=True)
    asked = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": STEPS,
             "guidance_scale": CFG, "width": 64, "height": 96, "latents": noise,
             "max_sequence_length": 77}  # fmt: skip
    with torch.no_grad():
        latent = pipeline(**asked, output_type="latent").images / SCALE + SHIFT
        picture = pipeline(**asked, output_type="pt").images.movedim(1, -1)
    return latent, picture


def save_checkpoint(pipeline: Any, path: Path) -> None:
    """All parts in one file, with the names of the authors, and those of transformers."""
    parts = {PREFIXES[name]: getattr(pipeline, name) for name in PREFIXES}
    tensors = encoders.tensors_of(parts)
    del tensors[PREFIXES["text_encoder_3"] + "encoder.embed_tokens.weight"]  # as shared.weight
    for name, tensor in tiny_sd3.original_tensors(pipeline.transformer).items():
        tensors[f"model.diffusion_model.{name}"] = tensor
    vae = Weights(path=Path("vae"), tensors=encoders.tensors_of({"": pipeline.vae}))
    for name, tensor in with_original_names(vae).tensors.items():
        tensors[f"first_stage_model.{name}"] = tensor
    save(path, tensors, STATED)


def drawn(loader: str, file: str) -> tuple[Tensor, Tensor]:
    """The latent and the picture of a workflow."""

    def ran(name: str, *args: Any, **inputs: Any) -> Any:
        node_class = NODE_CLASSES[name]
        return getattr(node_class(), node_class.FUNCTION)(*args, **inputs)

    model, clip, vae = ran(loader, file)
    (positive,) = ran("CLIPTextEncode", clip=clip, text=PROMPT)
    (negative,) = ran("CLIPTextEncode", clip=clip, text=NEGATIVE)
    latent = ran("EmptySD3LatentImage", width=64, height=96, batch_size=1)[0]
    (result,) = ran("KSampler", model=model, seed=SEED, steps=STEPS, cfg=CFG, sampler_name="euler",
                    scheduler="normal", positive=positive, negative=negative, latent_image=latent,
                    denoise=1.0)  # fmt: skip
    (picture,) = ran("VAEDecode", samples=result, vae=vae)
    return result["samples"], picture


def test_it_draws_what_diffusers_pipeline_draws(folders: Folders) -> None:
    made = pipeline()
    latent, picture = expected(made)
    save_checkpoint(made, folders.models_root / "checkpoints" / "tiny.safetensors")
    made.save_pretrained(folders.models_root / "diffusers" / "saved")
    sources = [("CheckpointLoaderSimple", "tiny.safetensors"), ("DiffusersLoader", "saved")]
    for loader, file in sources:
        found = drawn(loader, file)
        for actual, wanted in zip(found, (latent, picture), strict=True):
            assert (actual - wanted).norm() / wanted.norm() < 1e-4, loader
