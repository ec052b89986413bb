from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.devices import HOME
from models.errors import CheckpointUnreadable, UnsupportedLayout
from models.families.flux import FAMILY
from models.families.flux_transformer import build_transformer, transformer_config
from models.load import load_checkpoint, load_vae, recognise, unet_of
from models.lora import DeltaPatch
from models.memory import Policy
from models.model_files import checkpoint_tensors, model_metadata
from models.sampling.schedule import FlowSchedule, FluxSchedule
from models.weights import Weights, open_weights
from tests.models.gguf_files import write_gguf
from tests.models.text.encoders import clip, t5, with_t5_tokenizer
from tests.models.tiny import TinyModel, save
from tests.models.tiny_flux import TinyFlux, inputs


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_a_transformer_is_found_below_prefixes(prefix: str) -> None:
    weights = Weights(path=Path("f"), tensors=TinyFlux().tensors(prefix))
    assert recognise(weights) is FAMILY
    network = build_transformer(weights, torch.float32)
    assert network is not None
    assert "double_blocks.1.txt_attn.qkv.weight" in network


@pytest.mark.parametrize("guidance", [True, False])
@pytest.mark.parametrize(("channels", "double", "single"), [(64, 2, 3), (384, 1, 1)])
def test_the_configuration_comes_from_shapes(
    channels: int, double: int, single: int, guidance: bool
) -> None:
    model = TinyFlux(channels=channels, double=double, single=single, guidance=guidance)
    config = transformer_config(model.weights())
    assert config == {
        "in_channels": channels,
        "out_channels": 64,
        "num_layers": double,
        "num_single_layers": single,
        "attention_head_dim": 32,
        "num_attention_heads": 2,
        "joint_attention_dim": 24,
        "pooled_projection_dim": 20,
        "guidance_embeds": guidance,
        "axes_dims_rope": (4, 14, 14),
    }


def test_heads_of_128_have_the_axes_of_published_networks() -> None:
    tensors = TinyFlux(width=256).tensors()
    tensors["double_blocks.0.img_attn.norm.query_norm.scale"] = torch.ones(128)
    config = transformer_config(Weights(path=Path("f"), tensors=tensors))
    assert config["axes_dims_rope"] == (16, 56, 56)


def test_times_are_bent_unless_the_network_takes_no_guidance() -> None:
    assert isinstance(FAMILY.schedule(TinyFlux().weights()), FluxSchedule)
    schnell = FAMILY.schedule(TinyFlux(guidance=False).weights())
    assert isinstance(schnell, FlowSchedule)
    assert float(schnell.timestep(torch.tensor(0.25))) == 0.25
    assert schnell.percent_to_sigma(0.5) == 0.5


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("guidance", [True, False])
def test_a_file_in_the_layout_of_diffusers_is_the_same_network(prefix: str, guidance: bool) -> None:
    model = TinyFlux(guidance=guidance)
    handle = model.handle()
    handle.network.place(HOME)
    saved = {prefix + k: t.half() for k, t in handle.network.module.state_dict().items()}
    other = unet_of(Weights(path=Path("f"), tensors=saved), handle.policy)
    assert other.family is FAMILY
    assert set(other.network.names()) == set(handle.network.names()) == set(model.tensors())
    for name in other.network.names():
        assert torch.equal(other.network.stored(name), handle.network.stored(name)), name
    assert torch.equal(*(m.model.diffusion_model(**inputs(model)) for m in (handle, other)))


def test_a_model_is_saved_under_the_names_of_its_authors() -> None:
    model = TinyFlux()
    handle = model.handle()
    name = "single_blocks.0.linear1.weight"
    patched = handle.with_patches({name: [DeltaPatch({"diff": torch.ones(448, 64)}, 2.0)]})
    saved = checkpoint_tensors(patched)
    expected = model.tensors("model.diffusion_model.")
    assert saved.keys() == expected.keys()
    changed = "model.diffusion_model." + name
    assert torch.allclose(saved[changed], expected[changed] + 2, atol=4e-3)
    same = [key for key in saved if key != changed]
    assert all(torch.equal(saved[key], expected[key]) for key in same)
    assert "darkroom.config" not in model_metadata(handle)


def test_a_checkpoint_holds_its_vae_and_text_encoders_below_prefixes_of_their_own(
    tmp_path: Path, policy: Policy
) -> None:
    vae = TinyModel(vae_latent=16, vae_quant=False)
    parts = {
        "vae.": vae.vae(),
        "text_encoders.clip_l.transformer.text_model.": clip(projected=None).state_dict(),
        "text_encoders.t5xxl.transformer.": t5(width=24).state_dict(),
    }
    tensors = TinyFlux(pooled=64).tensors("model.diffusion_model.")
    tensors |= {prefix + k: t.half() for prefix, part in parts.items() for k, t in part.items()}
    folders = with_t5_tokenizer(tmp_path)
    path = save(tmp_path / "flux.safetensors", tensors, vae.config)
    loaded = load_checkpoint(path, policy, folders)
    assert loaded.text is not None and loaded.vae is not None
    context, options = loaded.text.encode_text("a red circle")[0]
    assert context.shape == (1, 256, 24) and options["pooled_output"].shape == (1, 64)
    saved = checkpoint_tensors(loaded.model, loaded.text, loaded.vae)
    spare = {name for name in saved.keys() ^ tensors.keys() if "position_ids" not in name}
    assert spare <= {"text_encoders.t5xxl.transformer.encoder.embed_tokens.weight"}
    kept = saved.keys() & tensors.keys()
    assert all(torch.equal(saved[name], tensors[name]) for name in kept)
    vae_only = load_vae(path, policy)
    assert vae_only.network.names() == loaded.vae.network.names()


def in_8_bits(tensors: dict[str, Tensor], *, scaled: bool) -> dict[str, Tensor]:
    """Matrices of blocks in float8, with their scales in the file or without."""
    made = dict(tensors)
    for name, tensor in tensors.items():
        if tensor.ndim == 2 and "blocks" in name:
            scale = tensor.abs().max().float() / 448 if scaled else torch.tensor(1.0)
            made[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
            if scaled:
                made[name.replace(".weight", ".scale_weight")] = scale
    return made


@pytest.mark.parametrize(("kind", "limit"), [("plain", 0.1), ("scaled", 0.06), ("gguf", 0.03)])
def test_a_network_in_few_bits_says_nearly_the_same(
    kind: str, limit: float, tmp_path: Path
) -> None:
    model = TinyFlux()
    handle = model.handle()
    path = tmp_path / ("f.gguf" if kind == "gguf" else "f.safetensors")
    if kind == "gguf":
        write_gguf(path, model.tensors(), "Q8_0")
    else:
        save_file(in_8_bits(model.tensors(), scaled=kind == "scaled"), path)
    other = unet_of(open_weights(path), handle.policy)
    expected, actual = (m.model.diffusion_model(**inputs(model)) for m in (handle, other))
    assert 0 < float((actual - expected).norm() / expected.norm()) < limit
    patch = {"double_blocks.0.img_attn.qkv.weight": [DeltaPatch({"diff": torch.ones(192, 64)}, 1)]}
    changed = other.with_patches(patch)
    patched = changed.model.diffusion_model.run(**inputs(model), patches=changed.patches)
    assert not torch.allclose(patched, actual, atol=1e-3)


def test_weights_can_come_layer_by_layer() -> None:
    model = TinyFlux()
    handle, arguments = model.handle(), inputs(model)
    network = handle.model.diffusion_model
    expected = network(**arguments)
    handle.network.stream(HOME, 0)
    with torch.no_grad():
        actual = network.call(handle.network.module, **arguments)
    assert handle.network.is_streaming
    assert torch.equal(actual, expected)


def test_heads_that_do_not_fit_are_reported() -> None:
    tensors = TinyFlux().tensors()
    tensors["double_blocks.0.img_attn.norm.query_norm.scale"] = torch.ones(24)
    with pytest.raises(UnsupportedLayout, match="heads of 24"):
        transformer_config(Weights(path=Path("f"), tensors=tensors))


def test_a_weight_that_is_missing_or_cut_is_named() -> None:
    weights = TinyFlux().weights()
    name = "single_blocks.1.linear1.weight"
    tensors = {key: tensor for key, tensor in weights.tensors.items() if key != name}
    with pytest.raises(CheckpointUnreadable, match="missing"):
        build_transformer(replace(weights, tensors=tensors), torch.float32)
    tensors[name] = weights.tensors[name][:-1]
    with pytest.raises(CheckpointUnreadable, match="proj_mlp"):
        build_transformer(replace(weights, tensors=tensors), torch.float32)
