"""What models are told that show a picture in motion, or from other sides."""

from __future__ import annotations

import json
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from models.conditioning import Conditioning
from models.load import Checkpoint
from models.memory import Policy
from models.vae import VaeHandle
from models.vision import VisionHandle, load_vision
from nodes.image_only_checkpoints import ImageOnlyCheckpointLoader
from nodes.model_saving import ImageOnlyCheckpointSave
from nodes.stable_cascade import (
    StableCascade_StageB_Conditioning,
    StableCascade_StageC_VAEEncode,
)
from nodes.turned_views import (
    StableZero123_Conditioning,
    StableZero123_Conditioning_Batched,
    SV3D_Conditioning,
    SVD_img2vid_Conditioning,
)
from tests.models.conftest import policy, tiny, tiny_file, vae
from tests.models.test_vision import open_clip_names
from tests.models.tiny import TinyModel, save
from tests.nodes.context import node_context

__all__ = ["policy", "tiny", "tiny_file", "vae"]

WIDTH, HEIGHT = 64, 32


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> VisionHandle:
    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
        image_size=32, patch_size=8, projection_dim=12,
    )  # fmt: skip
    file = tmp_path_factory.mktemp("vision") / "encoder.safetensors"
    metadata = {"darkroom.config": json.dumps({"image_encoder": {"num_attention_heads": 2}})}
    weights = dict(CLIPVisionModelWithProjection(config).state_dict())
    save_file(weights, file, metadata=metadata)
    return load_vision(file, policy)


@pytest.fixture
def image() -> Tensor:
    return torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))


def _only(conditioning: Conditioning) -> tuple[Tensor, dict[str, Any]]:
    [[context, options]] = conditioning
    return context, dict(options)


def test_svd_is_told_of_picture_motion_and_rate(
    encoder: VisionHandle, vae: VaeHandle, image: Tensor
) -> None:
    positive, negative, latent = SVD_img2vid_Conditioning().run(
        encoder, image, vae, WIDTH, HEIGHT, 5, 100, 7, 0.0
    )
    context, options = _only(positive)
    said = encoder.encode_image(image, crop=False).image_embeds
    assert torch.allclose(context, said[:, None])
    assert torch.allclose(options["concat_latent_image"], vae.encode(image), atol=1e-5)
    assert (options["motion_bucket_id"], options["fps"]) == (100, 7)
    nothing, same = _only(negative)
    assert not nothing.any()
    assert not same["concat_latent_image"].any()
    assert same["fps"] == 7
    assert latent["samples"].shape == (5, 4, HEIGHT // 8, WIDTH // 8)


def test_noise_on_the_picture_is_the_same_in_every_run(
    encoder: VisionHandle, vae: VaeHandle, image: Tensor
) -> None:
    def seen(level: float) -> Tensor:
        node = SVD_img2vid_Conditioning()
        positive, _, _ = node.run(encoder, image, vae, WIDTH, HEIGHT, 1, 100, 7, level)
        latent: Tensor = _only(positive)[1]["concat_latent_image"]
        return latent

    assert torch.equal(seen(0.5), seen(0.5))
    assert not torch.allclose(seen(0.5), seen(0.0), atol=1e-3)


def test_zero123_is_told_where_to_look_from(
    encoder: VisionHandle, vae: VaeHandle, image: Tensor
) -> None:
    positive, negative, latent = StableZero123_Conditioning().run(
        encoder, image, vae, WIDTH, HEIGHT, 2, 45.0, 90.0
    )
    context, _ = _only(positive)
    assert context.shape == (1, 1, 12 + 4)
    assert context[0, 0, -4:].tolist() == pytest.approx([-pi / 4, 1, 0, pi / 2], abs=1e-6)
    assert not _only(negative)[0].any()
    assert latent["samples"].shape == (2, 4, HEIGHT // 8, WIDTH // 8)


def test_zero123_turns_from_picture_to_picture(
    encoder: VisionHandle, vae: VaeHandle, image: Tensor
) -> None:
    positive, _, _ = StableZero123_Conditioning_Batched().run(
        encoder, image, vae, WIDTH, HEIGHT, 3, 0.0, 0.0, 0.0, 30.0
    )
    context, _ = _only(positive)
    angles = [0, pi / 6, pi / 3]
    assert context[:, 0, -3].tolist() == pytest.approx([sin(angle) for angle in angles], abs=1e-6)
    assert context[:, 0, -2].tolist() == pytest.approx([cos(angle) for angle in angles], abs=1e-6)


def test_sv3d_goes_round_once_and_ends_at_the_picture(
    encoder: VisionHandle, vae: VaeHandle, image: Tensor
) -> None:
    positive, _, latent = SV3D_Conditioning().run(encoder, image, vae, WIDTH, HEIGHT, 4, 10.0)
    _, options = _only(positive)
    assert options["azimuth"].tolist() == pytest.approx([90, 180, 270, 360])
    assert options["elevation"].tolist() == pytest.approx([80] * 4)
    assert latent["samples"].shape[0] == 4


def test_a_checkpoint_with_an_image_encoder_is_loaded(
    tmp_path: Path, encoder: VisionHandle, policy: Policy, image: Tensor
) -> None:
    model = TinyModel()
    prefix = "cond_stage_model.model."
    tensors = {k: v for k, v in model.tensors().items() if not k.startswith("cond_stage_model.")}
    tensors |= {prefix + k: v for k, v in open_clip_names(dict(encoder.get_sd())).items()}
    config = {**model.config, "image_encoder": {"num_attention_heads": 2}}
    with node_context(tmp_path, policy=policy) as folders:
        save(folders.models_root / "checkpoints" / "x.safetensors", tensors, config)
        _, vision, loaded = ImageOnlyCheckpointLoader().run("x.safetensors")
    assert loaded is not None
    said = vision.encode_image(image).image_embeds
    assert torch.allclose(said, encoder.encode_image(image).image_embeds, atol=1e-5)


def test_a_checkpoint_with_an_image_encoder_is_saved_and_loaded_again(
    tmp_path: Path, encoder: VisionHandle, tiny: Checkpoint, policy: Policy, image: Tensor
) -> None:
    assert tiny.vae is not None
    with node_context(tmp_path, policy=policy) as folders:
        ImageOnlyCheckpointSave().run(tiny.model, encoder, tiny.vae, "made")
        [file] = folders.output.glob("made*.safetensors")
        place = folders.models_root / "checkpoints" / "x.safetensors"
        place.parent.mkdir(parents=True, exist_ok=True)
        file.rename(place)
        model, vision, loaded = ImageOnlyCheckpointLoader().run("x.safetensors")
    assert loaded is not None
    for made, wanted in (
        (vision.encode_image(image), encoder.encode_image(image)),
        ({"vae": loaded.encode(image)}, {"vae": tiny.vae.encode(image)}),
    ):
        for name, value in wanted.items():
            assert name == "image_sizes" or torch.allclose(made[name], value, atol=1e-5)
    assert model.network.names() == tiny.model.network.names()


def test_stable_cascade_s_stages_are_given_what_they_need(vae: VaeHandle) -> None:
    image = torch.rand(2, 96, 128, 3)
    stage_c, stage_b = StableCascade_StageC_VAEEncode().run(image, vae, 32)
    assert stage_c["samples"].shape == (2, 4, 3, 4)
    assert stage_b["samples"].shape == (2, 4, 24, 32)
    ([[_, options]],) = StableCascade_StageB_Conditioning().run([[torch.zeros(1), {}]], stage_c)
    assert options["stable_cascade_prior"] is stage_c["samples"]
