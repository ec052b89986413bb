"""CLIP and VAE objects in the hands of packs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from comfy import latent_formats, model_base, model_detection, sd
from comfy.not_yet import NotYetSupported

from models.handle import ModelHandle
from models.text.handle import TextHandle
from models.vae import VaeHandle
from models.weights import open_weights
from tests.models.tiny import TinyModel


def test_tokens_are_pairs_under_the_encoders_letter(clip: TextHandle) -> None:
    tokens = clip.tokenize("a (cat:1.5)")
    (chunk,) = tokens["l"]
    assert len(chunk) == 77 and chunk[0] == (49406, 1.0) and chunk[2][1] == 1.5
    assert clip.tokenize("a cat", return_word_ids=True)["l"][0][1][2] == 1


def test_tokens_that_a_pack_changed_are_encoded(clip: TextHandle) -> None:
    tokens = clip.tokenize("a cat")
    weighted = [[(value, 1.5 if i == 2 else w) for i, (value, w) in enumerate(tokens["l"][0])]]
    cond, pooled = clip.encode_from_tokens({"l": weighted}, return_pooled=True)
    ((wanted, options),) = clip.encode_text("a (cat:1.5)")
    assert torch.equal(cond, wanted) and torch.equal(pooled, options["pooled_output"])
    as_dict = clip.encode_from_tokens({"l": weighted}, return_dict=True)
    assert torch.equal(as_dict["cond"], cond)
    ((scheduled, more),) = clip.encode_from_tokens_scheduled({"l": weighted}, add_dict={"a": 1})
    assert torch.equal(scheduled, cond) and more["a"] == 1


def test_clip_layer_changes_only_the_clone(clip: TextHandle) -> None:
    other = clip.clone()
    other.clip_layer(-2)
    assert (clip.layer_idx, other.layer_idx) == (None, -2)
    assert not torch.equal(other.encode("a cat"), clip.encode("a cat"))


def test_a_text_encoder_loads_from_a_file_of_its_own(tmp_path: Path, clip: TextHandle) -> None:
    from safetensors.torch import save_file

    tensors = {f"text_model.{name}": tensor for name, tensor in TinyModel().text().items()}
    save_file(tensors, tmp_path / "clip.safetensors")
    loaded = sd.load_clip([str(tmp_path / "clip.safetensors")])
    assert isinstance(loaded, sd.CLIP)
    assert loaded.encode("a cat").shape == clip.encode("a cat").shape
    with pytest.raises(NotYetSupported, match="HUNYUAN_VIDEO"):
        sd.load_clip([str(tmp_path / "clip.safetensors")], clip_type=sd.CLIPType.HUNYUAN_VIDEO)


def test_a_vae_is_made_from_the_tensors_of_a_checkpoint(
    vae: VaeHandle, checkpoint_file: Path
) -> None:
    weights = open_weights(checkpoint_file)
    made = sd.VAE(sd=weights.tensors, metadata=weights.metadata)
    latent = torch.randn(1, 4, 2, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(made.decode(latent), vae.decode(latent))
    assert isinstance(made, sd.VAE) and isinstance(vae, sd.VAE)
    assert not isinstance(torch.zeros(1), sd.VAE)


def test_tiles_that_hold_all_give_the_whole(vae: VaeHandle) -> None:
    latent = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(vae.decode_tiled(latent), vae.decode(latent))
    pixels = torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(2))
    assert torch.equal(vae.encode_tiled(pixels), vae.encode(pixels))


def test_small_tiles_give_pictures_of_the_same_size(vae: VaeHandle) -> None:
    latent = torch.zeros(1, 4, 12, 20)
    tiled = vae.decode_tiled(latent, tile_x=8, tile_y=8, overlap=4)
    whole = vae.decode(latent)
    assert tiled.shape == whole.shape == (1, 96, 160, 3)
    assert vae.encode_tiled(whole, tile_x=64, tile_y=64, overlap=16).shape == (1, 4, 12, 20)


def test_a_vae_tells_its_ratios(vae: VaeHandle) -> None:
    assert (vae.downscale_ratio, vae.upscale_ratio, vae.spacial_compression_decode()) == (8, 8, 8)
    assert vae.temporal_compression_decode() is None
    assert vae.first_stage_model is vae.network.module and vae.device.type == "cpu"


def test_the_model_inside_tells_what_it_is(model: ModelHandle) -> None:
    inside = model.model
    assert isinstance(inside, model_base.BaseModel)
    assert not isinstance(inside, model_base.SDXL)
    assert inside.model_type is model_base.ModelType.EPS
    assert isinstance(model.get_model_object("latent_format"), latent_formats.SD15)
    latent = torch.ones(1, 4, 2, 2)
    assert torch.allclose(inside.process_latent_in(latent), latent * 0.18215)
    assert torch.allclose(inside.process_latent_out(inside.process_latent_in(latent)), latent)
    assert (
        inside.get_dtype() is torch.float32 and inside.model_config.unet_config["in_channels"] == 4
    )
    with pytest.raises(AttributeError, match="networks of diffusers"):
        _ = inside.diffusion_model.input_blocks


def test_a_diffusion_model_loads_from_its_tensors(model: ModelHandle) -> None:
    loaded = sd.load_diffusion_model_state_dict(
        {f"model.diffusion_model.{k}": v for k, v in TinyModel().unet().items()},
        metadata={"darkroom.config": '{"unet": {"num_attention_heads": 4, "norm_num_groups": 4}}'},
    )
    x, sigma = torch.ones(1, 4, 8, 8), torch.tensor([1.0])
    context = torch.ones(1, 77, 16)
    assert torch.equal(loaded.denoised(x, sigma, context), model.denoised(x, sigma, context))


def test_tensors_may_come_with_scales(model: ModelHandle) -> None:
    tensors = dict(TinyModel().unet())
    name = "input_blocks.1.0.in_layers.2"
    tensors[f"{name}.weight"] = tensors[f"{name}.weight"].to(torch.float8_e4m3fn)
    tensors[f"{name}.scale_weight"] = torch.tensor(2.0)
    loaded = sd.load_diffusion_model_state_dict(
        tensors,
        metadata={"darkroom.config": '{"unet": {"num_attention_heads": 4, "norm_num_groups": 4}}'},
    )
    network = loaded.network
    inner = next(n for n in network.names() if network.original(n) == f"{name}.weight")
    assert torch.equal(network.stored(inner) + 0, tensors[f"{name}.weight"].float() * 2)


def test_a_checkpoint_tells_where_its_model_begins(checkpoint_file: Path) -> None:
    tensors = open_weights(checkpoint_file).tensors
    prefix = model_detection.unet_prefix_from_state_dict(tensors)
    assert prefix == "model.diffusion_model."
    config = model_detection.detect_unet_config(tensors, prefix)
    assert config is not None and config["model_channels"] == 16 and config["context_dim"] == 16


def test_a_pack_gets_previews_of_our_latents(model: ModelHandle) -> None:
    import latent_preview

    latent = torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(3))
    space = model.model.latent_format
    assert space.latent_rgb_factors is not None
    previewer = latent_preview.Latent2RGBPreviewer(
        space.latent_rgb_factors, space.latent_rgb_factors_bias
    )
    picture = previewer.decode_latent_to_preview(latent)
    assert picture.size == (5, 3)
    ours = model.preview(latent)
    assert ours is not None
    # Ours is the same map, made as large as the picture and a little smoothed by that.
    corner, wanted = picture.getpixel((0, 0)), ours.getpixel((0, 0))
    assert isinstance(corner, tuple) and isinstance(wanted, tuple)
    assert all(abs(a - b) <= 2 for a, b in zip(corner, wanted, strict=True))


def test_a_pack_that_moves_a_text_encoder_goes_through_the_residents(clip: TextHandle) -> None:
    home, network = torch.device("cpu"), clip.encoders["l"].network
    clip.patcher.unpatch_model(home)
    assert network.is_resting
    clip.patcher.patch_model(home)
    assert network in clip.policy.residents.networks(home)
    clip.patcher.unpatch_model(home)
    assert network.is_resting


def test_patchers_of_clip_and_vae_can_be_loaded(clip: TextHandle, vae: VaeHandle) -> None:
    from comfy import model_management

    model_management.load_models_gpu([clip.patcher, vae.patcher])
    assert clip.patcher.model_size() == clip.encoders["l"].network.size()
    assert vae.patcher.current_device == torch.device("cpu")
    assert vae.patcher.model is vae.first_stage_model


def test_several_text_encoders_load_from_files_and_are_of_their_familys_class(
    tmp_path: Path,
) -> None:
    from comfy import sdxl_clip
    from comfy.text_encoders import flux
    from safetensors.torch import save_file

    from tests.models.text import encoders

    modules = {"l": encoders.clip(projected=None), "g": encoders.clip(width=128, act="gelu"),
               "t5": encoders.t5()}  # fmt: skip
    paths = {name: str(tmp_path / f"{name}.safetensors") for name in modules}
    for name, module in modules.items():
        tensors = encoders.tensors_of({"": module})
        tensors.pop("encoder.embed_tokens.weight", None)
        save_file(tensors, paths[name])
    xl = sd.load_clip([paths["g"], paths["l"]])
    assert isinstance(xl.cond_stage_model, sdxl_clip.SDXLClipModel)
    assert list(xl.tokenize("a cat")) == ["l", "g"]
    assert xl.encode("a cat").shape == (1, 77, 192)
    made = sd.load_clip([paths["l"], paths["t5"]], clip_type=sd.CLIPType.FLUX)
    assert isinstance(made.cond_stage_model, flux.FluxClipModel)
