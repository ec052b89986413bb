"""Flux as packs find it."""

from __future__ import annotations

from comfy import model_base, supported_models
from comfy.ldm.flux.model import Flux

from models.protocol import latent_formats
from tests.models.tiny_flux import TinyFlux


def test_packs_know_a_flux_model_and_its_network_by_their_classes() -> None:
    model = TinyFlux().handle()
    assert isinstance(model.model, model_base.Flux)
    assert isinstance(model.get_model_object("diffusion_model"), Flux)
    assert isinstance(TinyFlux(channels=384).handle().model, model_base.Flux)
    assert isinstance(model.get_model_object("latent_format"), latent_formats.Flux)
    config = model.model.model_config.unet_config
    assert (config["image_model"], config["depth"], config["hidden_size"]) == ("flux", 2, 64)


def test_configurations_tell_the_kinds_of_flux_apart() -> None:
    for channels, guidance, family in (
        (64, True, supported_models.Flux),
        (64, False, supported_models.FluxSchnell),
        (384, True, supported_models.FluxInpaint),
    ):
        model = TinyFlux(channels=channels, guidance=guidance).handle()
        config = model.model.diffusion_model.unet_config()
        assert next(kind for kind in supported_models.models if kind.matches(config)) is family
    made = supported_models.Flux(config)
    assert made.latent_format.shift_factor == 0.1159


def test_weights_have_their_original_names_for_packs() -> None:
    model = TinyFlux().handle()
    names = set(model.model_state_dict())
    assert "diffusion_model.double_blocks.0.img_attn.qkv.weight" in names
    patches = model.get_key_patches("diffusion_model.single_blocks.1.")
    assert "diffusion_model.single_blocks.1.linear1.weight" in patches
