"""Stable Diffusion unCLIP: what the network is told of pictures is what diffusers tells it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, StableUnCLIPImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import (
    StableUnCLIPImageNormalizer,
)
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from models.errors import InvalidInput
from models.load import load_checkpoint, unet_of
from models.memory import Policy
from models.protocol.sampling import sample_latent
from models.protocol.unclip import NoiseAugmentor, UnclipModel
from models.vision import VisionOutput
from models.weights import Weights, open_weights
from nodes.model_saving import CheckpointSave
from nodes.part_loaders import CLIPVisionEncode, unCLIPCheckpointLoader
from nodes.unclip import unCLIPConditioning
from tests.models.conftest import policy
from tests.models.test_vision import open_clip_names
from tests.models.tiny import TinyModel
from tests.nodes.context import node_context

__all__ = ["policy"]

WIDTH = 12  # of an embedding
MODEL = TinyModel(is_linear=True, label=2 * WIDTH)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


STATISTICS = {
    "noise_augmentor.data_mean": normal(1, WIDTH, seed=1),
    "noise_augmentor.data_std": normal(1, WIDTH, seed=2).abs() + 0.5,
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint without a text encoder."""
    torch.manual_seed(1)
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
        image_size=32, patch_size=8, projection_dim=WIDTH,
    )  # fmt: skip
    encoder = CLIPVisionModelWithProjection(config)
    vision = {
        f"embedder.model.{name}": tensor.contiguous()
        for name, tensor in open_clip_names(dict(encoder.state_dict())).items()
    }
    parts = {name: t for name, t in MODEL.tensors().items() if "cond_stage_model" not in name}
    said = MODEL.config | {"image_encoder": {"num_attention_heads": 2}}
    path = tmp_path_factory.mktemp("unclip") / "tiny.safetensors"
    tensors = {name: tensor.clone() for name, tensor in (parts | vision | STATISTICS).items()}
    save_file(tensors, path, {"darkroom.config": json.dumps(said)})
    return path


def seen(seed: int = 3, rows: int = 1, width: int = WIDTH) -> VisionOutput:
    return VisionOutput(image_embeds=normal(rows, width, seed=seed))


def prompt(seed: int, *pictures: tuple[VisionOutput, float, float]) -> Any:
    made: Any = [[normal(1, 77, 16, seed=seed), {}]]
    for picture in pictures:
        (made,) = unCLIPConditioning().run(made, *picture)
    return made


def run(model: Any, positive: Any, **changes: Any) -> Tensor:
    options: dict[str, Any] = {
        "seed": 5, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal",
        "positive": positive, "negative": prompt(8),
    } | changes  # fmt: skip
    found: Tensor = sample_latent(model, {"samples": torch.zeros(1, 4, 8, 8)}, **options)["samples"]
    return found


@pytest.mark.parametrize(("amount", "level"), [(0.0, 0), (0.25, 250), (1.0, 999)])
def test_noise_is_put_into_embeddings_as_diffusers_does(amount: float, level: int) -> None:
    augmentor = NoiseAugmentor.of(Weights(path=Path("a"), tensors=STATISTICS))
    assert augmentor is not None
    normalizer = StableUnCLIPImageNormalizer(WIDTH)
    normalizer.mean.data = STATISTICS["noise_augmentor.data_mean"]
    normalizer.std.data = STATISTICS["noise_augmentor.data_std"]
    pipeline = SimpleNamespace(
        image_normalizer=normalizer,
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
    )
    embedding, noise = normal(2, WIDTH, seed=3), normal(2, WIDTH, seed=4)
    with torch.no_grad():
        expected = StableUnCLIPImg2ImgPipeline.noise_image_embeddings(
            pipeline, embedding.clone(), level, noise=noise
        )
    found = augmentor.vector(embedding, amount, noise)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_levels_are_those_of_the_file_if_it_has_some() -> None:
    stated = {"noise_augmentor.alphas_cumprod": torch.tensor([1.0, 0.25])}
    augmentor = NoiseAugmentor.of(Weights(path=Path("a"), tensors=STATISTICS | stated))
    assert augmentor is not None
    embedding, noise = normal(1, WIDTH, seed=3), normal(1, WIDTH, seed=4)
    found = augmentor.vector(embedding, 1.0, noise)[:, :WIDTH]
    mean, deviation = STATISTICS.values()
    expected = 0.5 * (embedding - mean) + 0.75**0.5 * noise * deviation + mean
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(augmentor.vector(embedding, 0.0, noise)[:, :WIDTH], embedding)


def vector(model: Any, conditioning: Any, seed: int = 5) -> Tensor:
    """What the network is told beside the prompt."""
    base = model.model
    assert isinstance(base, UnclipModel)
    found: Tensor = base.encode_adm(device="cpu", seed=seed, **conditioning[0][1])
    return found


def test_pictures_add_up_by_their_strengths(file: Path, policy: Policy) -> None:
    model = load_checkpoint(file, policy).model
    assert model.family.name == "sd2_unclip"
    first, second = (seen(3), 0.5, 0.0), (seen(4), -2.0, 0.0)
    one, other = (vector(model, prompt(1, picture)) for picture in (first, second))
    # Even the lowest level has a little noise, drawn anew for each picture.
    both = vector(model, prompt(1, first, second))
    torch.testing.assert_close(both, one + other, rtol=0, atol=0.1)
    whole = vector(model, prompt(1, (seen(3), 1.0, 0.0)))
    torch.testing.assert_close(one, 0.5 * whole)
    torch.testing.assert_close(whole[:, :WIDTH], seen(3).image_embeds, rtol=1e-2, atol=5e-2)
    nothing = vector(model, prompt(1))
    assert nothing.shape == (1, 2 * WIDTH) and not nothing.any()
    assert vector(model, prompt(1, (seen(3, rows=3), 1.0, 0.0))).shape == (3, 2 * WIDTH)


def test_noise_in_embeddings_is_that_of_the_seed(file: Path, policy: Policy) -> None:
    model = load_checkpoint(file, policy).model
    noisy = prompt(1, (seen(), 1.0, 0.5))
    assert torch.equal(vector(model, noisy, seed=5), vector(model, noisy, seed=5))
    assert not torch.equal(vector(model, noisy, seed=5), vector(model, noisy, seed=6))


def test_a_picture_from_the_checkpoints_own_encoder_changes_the_result(
    file: Path, policy: Policy, tmp_path: Path
) -> None:
    with node_context(tmp_path, policy=policy) as folders:
        (Path(folders.kind_folders("checkpoints")[0]) / file.name).symlink_to(file)
        model, text, _, vision = unCLIPCheckpointLoader().run(file.name)
        assert text is None
        (said,) = CLIPVisionEncode().run(vision, torch.rand(1, 40, 40, 3), "center")
    plain = run(model, prompt(1))
    told = run(model, prompt(1, (said, 1.0, 0.1)))
    assert torch.isfinite(told).all()
    assert not torch.allclose(told, plain, atol=1e-3)
    assert torch.equal(run(model, prompt(1, (said, 0.0, 0.1))), plain)


def test_what_is_known_of_embeddings_is_saved_with_the_model(
    file: Path, policy: Policy, tmp_path: Path
) -> None:
    loaded = load_checkpoint(file, policy)
    with node_context(tmp_path, policy=policy):
        CheckpointSave().run(loaded.model, loaded.text, loaded.vae, "saved")
    [saved] = tmp_path.rglob("saved*.safetensors")
    again = load_checkpoint(saved, policy).model
    noisy = prompt(1, (seen(), 1.0, 0.5))
    torch.testing.assert_close(vector(again, noisy), vector(loaded.model, noisy))


def test_what_does_not_fit_is_refused_by_name(file: Path, policy: Policy) -> None:
    model = load_checkpoint(file, policy).model
    with pytest.raises(InvalidInput, match=r"12 channels.*gives 20"):
        run(model, prompt(1, (seen(width=20), 1.0, 0.0)))
    weights = open_weights(file)
    unet = Weights(path=file, tensors=MODEL.unet(), metadata=weights.metadata)
    with pytest.raises(InvalidInput, match="unCLIPCheckpointLoader"):
        run(unet_of(unet, policy), prompt(1, (seen(), 1.0, 0.0)))
