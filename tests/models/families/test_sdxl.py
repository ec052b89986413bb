"""What files of Stable Diffusion XL say beside their shapes: noise levels, output, latents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.load import load_checkpoint, load_diffusers_folder, unet_of
from models.memory import Policy
from models.model_files import checkpoint_tensors, model_metadata
from models.protocol.base_model import ModelType
from models.protocol.latent_formats import SDXL, SDXL_Playground_2_5
from models.protocol.model_sampling import EDM
from models.safetensors_writer import write_tensors
from models.sampling.prediction import EPSILON, VELOCITY, Preconditioned
from models.sampling.schedule import DiscreteSchedule, scaled_linear_betas, sigmas_from_betas
from models.weights import Weights, open_weights
from tests.models import tiny_sdxl
from tests.models.conftest import policy
from tests.models.families.test_class_vectors import BASE, POOLED
from tests.models.tiny import save
from tests.models.tiny_sdxl import checkpoint

__all__ = ["policy"]

MEAN, STD = torch.tensor([-1.5, 2.0, -1.25, 2.5]), torch.tensor([8.0, 6.0, 6.5, 5.0])


def weights(extra: dict[str, Tensor] | None = None, **metadata: str) -> Weights:
    said = {"darkroom.config": json.dumps({"unet": BASE.config["unet"]})}
    tensors = {f"model.diffusion_model.{name}": t for name, t in BASE.unet().items()}
    return Weights(path=Path("m"), tensors=tensors | (extra or {}), metadata=said | metadata)


def test_sdxl_predicts_noise_in_its_own_latents(policy: Policy) -> None:
    model = unet_of(weights(), policy)
    assert model.schedule.prediction == EPSILON
    assert isinstance(model.latent_format, SDXL)
    assert model.latent_format.taesd_decoder_name == "taesdxl_decoder"
    assert torch.allclose(model.latent_format.scale_in(torch.ones(1)), torch.tensor(0.13025))


@pytest.mark.parametrize(
    ("extra", "metadata"),
    [({"v_pred": torch.tensor([])}, {}), ({}, {"modelspec.predict_key": "v"})],
    ids=["key of trainers", "modelspec"],
)
def test_v_is_told_by_the_file(
    extra: dict[str, Tensor], metadata: dict[str, str], policy: Policy
) -> None:
    model = unet_of(weights(extra, **metadata), policy)
    assert model.schedule.prediction == VELOCITY
    assert model.model.model_type is ModelType.V_PREDICTION
    assert model.schedule.sigma_max < 15


def test_a_table_that_ends_in_pure_noise_is_told_by_the_file(policy: Policy) -> None:
    model = unet_of(weights({"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}), policy)
    assert isinstance(model.schedule, DiscreteSchedule) and model.schedule.is_zero_snr
    usual = sigmas_from_betas(scaled_linear_betas()).float()
    assert torch.isclose(model.schedule.sigmas[0], usual[0], rtol=1e-4)
    assert model.schedule.sigma_max > 1000


def playground() -> Weights:
    return weights({"edm_mean": MEAN, "edm_std": STD})


def test_playground_has_latents_of_mean_0_and_deviation_a_half(policy: Policy) -> None:
    model = unet_of(playground(), policy)
    assert isinstance(model.latent_format, SDXL_Playground_2_5)
    raw = MEAN.view(1, 4, 1, 1) + STD.view(1, 4, 1, 1)
    assert torch.allclose(model.latent_format.scale_in(raw), torch.full((1, 4, 1, 1), 0.5))
    assert torch.allclose(model.latent_format.scale_out(model.latent_format.scale_in(raw)), raw)


def test_playground_is_preconditioned_as_edm(policy: Policy) -> None:
    model = unet_of(playground(), policy)
    assert model.schedule.prediction == Preconditioned(0.5)
    assert model.schedule.sigma_min == pytest.approx(0.002)
    assert model.schedule.sigma_max == pytest.approx(80.0)
    assert isinstance(model.model.model_sampling, EDM)
    assert model.model.model_type is ModelType.EDM
    x, sigma = torch.randn(1, 4, 8, 8), torch.tensor([3.0])
    context, y = torch.randn(1, 7, BASE.context), torch.randn(1, BASE.label or 0)
    clean = model.denoised(x, sigma, context, y=y)
    # Karras et al. 2022, table 1: c_in, c_noise, c_skip and c_out.
    seen = x / (9 + 0.25) ** 0.5
    output = model.model.diffusion_model(seen, sigma.log() / 4, context, y)
    expected = x * 0.25 / (9 + 0.25) + output * 3 * 0.5 / (9 + 0.25) ** 0.5
    assert torch.allclose(clean, expected, atol=1e-5)


KINDS: dict[str, Any] = {
    "plain": weights(),
    "v": weights({"v_pred": torch.tensor([])}),
    "zero snr": weights({"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}),
    "playground": playground(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_loads_as_the_same(kind: str, policy: Policy, tmp_path: Path) -> None:
    model = unet_of(KINDS[kind], policy)
    path = tmp_path / "saved.safetensors"
    write_tensors(path, checkpoint_tensors(model), model_metadata(model))
    again = unet_of(open_weights(path), policy)
    assert again.family.name == "sdxl"
    assert again.schedule.prediction == model.schedule.prediction
    assert torch.equal(again.schedule.sigmas, model.schedule.sigmas)
    one = torch.ones(1, 4, 1, 1)
    assert torch.equal(again.latent_format.scale_in(one), model.latent_format.scale_in(one))
    assert {*again.network.names()} == {*model.network.names()}


def test_a_folder_of_diffusers_is_the_same_model(policy: Policy, tmp_path: Path) -> None:
    from tests.models.families.test_class_vectors import pipeline_of

    tensors = pipeline_of(BASE).unet.state_dict()
    assert "add_embedding.linear_1.weight" in tensors
    (tmp_path / "unet").mkdir()
    (tmp_path / "scheduler").mkdir()
    save(tmp_path / "unet/diffusion_pytorch_model.safetensors", tensors)
    groups = {"norm_num_groups": BASE.groups, "attention_head_dim": [BASE.heads] * 3}
    (tmp_path / "unet/config.json").write_text(json.dumps(groups))
    said = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    (tmp_path / "scheduler/scheduler_config.json").write_text(json.dumps(said))
    model = load_diffusers_folder(tmp_path, policy).model
    assert model.family.name == "sdxl" and model.schedule.prediction == VELOCITY
    assert isinstance(model.schedule, DiscreteSchedule) and model.schedule.is_zero_snr
    expected = unet_of(weights(), policy)
    x, context = torch.randn(1, 4, 8, 8), torch.randn(1, 7, BASE.context)
    y = torch.randn(1, POOLED + 6 * 256)
    time = torch.tensor([7])
    assert torch.allclose(
        model.model.diffusion_model(x, time, context, y),
        expected.model.diffusion_model(x, time, context, y),
        atol=1e-5,
    )


def test_previews_have_colours_of_its_own_vae(policy: Policy, tmp_path: Path) -> None:
    tensors = checkpoint(tiny_sdxl.SDXL, {}) | {"edm_mean": MEAN, "edm_std": STD}
    path = save(tmp_path / "m.safetensors", tensors, tiny_sdxl.stated(tiny_sdxl.SDXL))
    loaded = load_checkpoint(path, policy)
    assert loaded.vae is not None
    space = loaded.model.model.latent_format
    assert isinstance(space, SDXL_Playground_2_5)
    picture = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(2))
    latent = space.process_in(loaded.vae.encode(picture))
    shown = loaded.model.preview(latent)
    assert shown is not None and shown.size == (32, 32)
    factors, bias = space.latent_rgb_factors, space.latent_rgb_factors_bias
    assert factors is not None and bias is not None
    colour = (torch.einsum("chw,cr->rhw", latent[0], torch.tensor(factors)) + torch.tensor(
        bias)[:, None, None] + 1).div(2).clamp(0, 1)  # fmt: skip
    corner = torch.tensor(shown.getpixel((0, 0))) / 255
    assert torch.allclose(corner, colour[:, 0, 0], atol=0.01)
