from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.load import Checkpoint, load_checkpoint, load_unet, load_vae
from models.memory import choose_policy
from models.previews import LatentColours, colour_chart
from models.vae import VaeHandle
from tests.models.tiny import TinyModel, save


@dataclass(frozen=True)
class Scale:
    """A patch that multiplies."""

    factor: float

    def apply(self, weight: Tensor) -> Tensor:
        return weight * self.factor


X = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
SIGMA = torch.tensor([2.0])
CONTEXT = torch.randn(1, 77, 16, generator=torch.Generator().manual_seed(2))


def test_the_network_is_told_the_index_of_the_nearest_sigma(tiny: Checkpoint) -> None:
    sigmas = tiny.model.schedule.sigmas
    exact = tiny.model.denoised(X, sigmas[300:301], CONTEXT)
    near = tiny.model.denoised(X, sigmas[300:301] * 1.0001, CONTEXT)
    assert torch.allclose(exact, near, atol=1e-3)
    unet = tiny.model.network.module
    scaled = X / (sigmas[300] ** 2 + 1).sqrt()
    with torch.no_grad():
        noise = unet(scaled, torch.tensor([300]), CONTEXT, return_dict=False)[0]
    assert torch.allclose(exact, X - sigmas[300] * noise, atol=1e-5)


def test_a_clone_shares_the_weights(tiny: Checkpoint) -> None:
    clone = tiny.model.clone()
    clone.model_options["transformer_options"]["some"] = 1
    assert clone.network is tiny.model.network
    assert tiny.model.model_options == {"transformer_options": {}}


def test_patches_of_one_handle_do_not_show_in_another(tiny: Checkpoint) -> None:
    plain = tiny.model.denoised(X, SIGMA, CONTEXT)
    patched = tiny.model.with_patches({"conv_out.weight": [Scale(0.0)]})
    patched = patched.with_patches({"conv_out.bias": [Scale(0.0)]})
    assert torch.allclose(patched.denoised(X, SIGMA, CONTEXT), X)
    assert torch.equal(tiny.model.denoised(X, SIGMA, CONTEXT), plain)


def test_the_model_needs_no_further_conditioning(tiny: Checkpoint) -> None:
    assert tiny.model.extra_conditioning({"pooled_output": X}, X) == {}


def test_a_model_without_a_vae_is_seen_through_the_one_that_was_loaded_last(
    tiny_file: Path, tmp_path: Path
) -> None:
    policy = choose_policy(cpu=True)
    model = load_unet(tiny_file, policy)
    latent = torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(4))
    assert model.preview(latent) is None
    other = TinyModel(vae_latent=16, vae_quant=False)
    load_vae(save(tmp_path / "wide.safetensors", other.vae(), other.config), policy)
    assert model.preview(latent) is None  # its latents have other channels
    vae = load_vae(tiny_file, policy)
    assert isinstance(vae, VaeHandle)
    preview = model.preview(latent)
    assert preview is not None
    assert preview == LatentColours(vae, model.latent_format).picture(latent)
    with_vae = load_checkpoint(tiny_file, policy).model
    assert with_vae.preview(latent) == preview


def test_a_preview_has_the_size_of_the_picture(tiny: Checkpoint) -> None:
    preview = tiny.model.preview(torch.randn(2, 4, 3, 5))
    assert preview is not None
    assert (preview.size, preview.mode) == ((40, 24), "RGB")


def test_the_colour_map_is_the_best_linear_one(tiny: Checkpoint) -> None:
    colours, vae = tiny.model.colours, tiny.vae
    assert colours is not None and vae is not None
    chart = colour_chart(24)
    latent = tiny.model.latent_format.scale_in(vae.encode(chart))[0].flatten(1).T
    rows = torch.cat([latent, torch.ones(len(latent), 1)], dim=1)
    wanted = chart[0, ::8, ::8].reshape(-1, 3)
    error = (rows @ colours.weights - wanted).square().mean()
    spread = (wanted - wanted.mean(dim=0)).square().mean()
    assert error < spread
    worse = colours.weights + 0.01 * torch.randn_like(colours.weights)
    assert (rows @ worse - wanted).square().mean() > error


def test_the_chart_shows_64_colours_once() -> None:
    chart = colour_chart(2)
    assert chart.shape == (1, 16, 16, 3)
    colours = chart[0, ::2, ::2].reshape(-1, 3).tolist()
    assert len({tuple(colour) for colour in colours}) == 64
