"""Checkpoints of many shapes load by the same code, and bad files say what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.errors import (
    CheckpointUnreadable,
    PartMissing,
    UnknownModelFamily,
    UnsupportedLayout,
)
from models.load import load_checkpoint, load_diffusers_folder, load_vae
from models.memory import Policy, Precision, choose_policy
from models.sampling.prediction import EPSILON, VELOCITY
from models.vae import VaeHandle
from tests.models.tiny import TinyModel, save, save_checkpoint

VARIANTS = [
    TinyModel(),
    TinyModel(channels=(8, 16, 24), depths=(0, 1, 1), blocks=2),
    TinyModel(channels=(16, 16, 32, 32), depths=(1, 1, 1, 0), blocks=2, middle_depth=1),
    TinyModel(channels=(16,), depths=(2,), middle_depth=2, blocks=3, heads=2),
    TinyModel(channels=(16, 32), depths=(1, 2), middle_depth=2, context=32, text_layers=3),
    TinyModel(vae_channels=(8, 16, 16), vae_blocks=2, groups=8),
    TinyModel(in_channels=9),
]


@pytest.mark.parametrize("tiny", VARIANTS, ids=lambda tiny: "-".join(map(str, tiny.channels)))
def test_the_configuration_follows_from_the_shapes(
    tiny: TinyModel, tmp_path: Path, policy: Policy
) -> None:
    loaded = load_checkpoint(save_checkpoint(tmp_path / "m.safetensors", tiny), policy)
    config = loaded.model.network.module.config
    assert config.block_out_channels == tiny.channels
    assert config.layers_per_block == tiny.blocks
    assert config.cross_attention_dim == tiny.context
    assert config.in_channels == tiny.in_channels
    assert [kind.startswith("Cross") for kind in config.down_block_types] == [
        depth != 0 for depth in tiny.depths
    ]
    assert isinstance(loaded.vae, VaeHandle) and loaded.text is not None
    assert loaded.vae.network.module.config.block_out_channels == tiny.vae_channels
    assert loaded.vae.downscale == 2 ** (len(tiny.vae_channels) - 1)
    assert loaded.text.encoders["l"].network.module.config.num_hidden_layers == tiny.text_layers
    cond, pooled = loaded.text.encode_chunks(loaded.text.chunks("a cat"))
    assert cond.shape == (1, 77, tiny.context) and pooled.shape == (1, tiny.context)
    x = torch.randn(2, tiny.in_channels, 8, 8)
    if tiny.in_channels == 4:
        result = loaded.model.denoised(x, torch.tensor([1.0, 2.0]), cond.expand(2, -1, -1))
        assert result.shape == (2, 4, 8, 8) and result.isfinite().all()


def test_weights_that_need_no_conversion_stay_in_the_mapped_file(tiny_file: Path) -> None:
    half = choose_policy(cpu=True, force="fp16")
    first = load_checkpoint(tiny_file, half).model.network
    name, value = next(iter(first.module.state_dict().items()))
    assert value.dtype == torch.float16
    assert value.data_ptr() == first._source[name].data_ptr()


def test_the_cpu_computes_in_float32(tiny_file: Path) -> None:
    policy = choose_policy(cpu=True)
    loaded = load_checkpoint(tiny_file, policy)
    assert loaded.model.network.is_resting  # nothing is converted before it is needed
    with policy.using(loaded.model.network, policy.device) as unet:
        assert {value.dtype for value in unet.parameters()} == {torch.float32}
    assert loaded.model.dtype == torch.float32


def test_a_file_may_lack_text_encoder_and_vae(tmp_path: Path) -> None:
    tiny, policy = TinyModel(), choose_policy(cpu=True)
    unet = {f"model.diffusion_model.{name}": tensor for name, tensor in tiny.unet().items()}
    loaded = load_checkpoint(save(tmp_path / "u.safetensors", unet, tiny.config), policy)
    assert loaded.text is None and loaded.vae is None
    assert loaded.model.preview(torch.zeros(1, 4, 8, 8)) is None


def test_a_unet_without_prefix_loads(tmp_path: Path, policy: Policy) -> None:
    tiny = TinyModel()
    path = save(tmp_path / "u.safetensors", tiny.unet(), tiny.config)
    assert load_checkpoint(path, policy).model.family.name == "sd15"


@pytest.mark.parametrize("prefix", ["", "first_stage_model."])
def test_a_vae_loads_from_a_file_of_its_own(prefix: str, tmp_path: Path, policy: Policy) -> None:
    tiny = TinyModel()
    tensors = {prefix + name: tensor for name, tensor in tiny.vae().items()}
    vae = load_vae(save(tmp_path / "v.safetensors", tensors, tiny.config), policy)
    assert vae.decode(torch.zeros(1, 4, 2, 3)).shape == (1, 16, 24, 3)


def test_a_file_without_vae_says_so(tmp_path: Path, policy: Policy) -> None:
    with pytest.raises(PartMissing, match=r"u\.safetensors.*no VAE"):
        load_vae(save(tmp_path / "u.safetensors", TinyModel().unet()), policy)


def test_a_pickled_checkpoint_loads_like_any_other(tmp_path: Path, policy: Policy) -> None:
    tiny = replace(TinyModel(), groups=32, heads=8, channels=(32, 64), vae_channels=(32, 32))
    torch.save({"state_dict": tiny.tensors(), "epoch": 3}, tmp_path / "m.ckpt")
    assert load_checkpoint(tmp_path / "m.ckpt", policy).vae is not None


def test_an_old_pickle_that_cannot_be_mapped_loads(tmp_path: Path, policy: Policy) -> None:
    tiny = replace(TinyModel(), groups=32, heads=8, channels=(32, 64), vae_channels=(32, 32))
    torch.save(tiny.tensors(), tmp_path / "m.ckpt", _use_new_zipfile_serialization=False)
    assert load_checkpoint(tmp_path / "m.ckpt", policy).text is not None


def test_the_prediction_type_comes_from_the_metadata(tmp_path: Path, policy: Policy) -> None:
    tiny = TinyModel()
    config = tiny.config
    path = save(tmp_path / "eps.safetensors", tiny.tensors(), config)
    assert load_checkpoint(path, policy).model.schedule.prediction is EPSILON
    config["unet"]["prediction_type"] = "v_prediction"
    path = save(tmp_path / "v.safetensors", tiny.tensors(), config)
    assert load_checkpoint(path, policy).model.schedule.prediction is VELOCITY
    config["unet"]["prediction_type"] = "guess"
    path = save(tmp_path / "x.safetensors", tiny.tensors(), config)
    with pytest.raises(UnsupportedLayout, match="guess"):
        load_checkpoint(path, policy)


def test_a_file_of_no_family_names_the_families(tmp_path: Path, policy: Policy) -> None:
    path = save(tmp_path / "other.safetensors", {"weights.of.something": torch.zeros(2)})
    with pytest.raises(UnknownModelFamily, match=r"weights\.of\.something.*sd15"):
        load_checkpoint(path, policy)


def test_a_missing_tensor_is_named(tmp_path: Path, policy: Policy) -> None:
    tensors = TinyModel().tensors()
    del tensors["model.diffusion_model.out.0.bias"]
    with pytest.raises(CheckpointUnreadable, match="conv_norm_out"):
        load_checkpoint(save(tmp_path / "m.safetensors", tensors, TinyModel().config), policy)


def test_a_missing_tensor_of_the_vae_is_named(tmp_path: Path, policy: Policy) -> None:
    tensors = TinyModel().vae()
    del tensors["decoder.up.1.upsample.conv.bias"]
    with pytest.raises(CheckpointUnreadable, match=r"'decoder\.up\.1\.upsample\.conv\.bias'"):
        load_vae(save(tmp_path / "v.safetensors", tensors, TinyModel().config), policy)


def test_a_tensor_of_another_shape_is_named(tmp_path: Path, policy: Policy) -> None:
    tensors = TinyModel().tensors()
    tensors["model.diffusion_model.out.0.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointUnreadable, match=r"conv_norm_out\.bias.*\(3,\).*\(16,\)"):
        load_checkpoint(save(tmp_path / "m.safetensors", tensors, TinyModel().config), policy)


def test_uneven_attention_in_one_resolution_is_refused(tmp_path: Path, policy: Policy) -> None:
    tensors = {
        name: tensor
        for name, tensor in TinyModel(blocks=2).tensors().items()
        if not name.startswith("model.diffusion_model.input_blocks.2.1.")
    }
    with pytest.raises(UnsupportedLayout, match="some blocks of a resolution have attention"):
        load_checkpoint(save(tmp_path / "m.safetensors", tensors, TinyModel().config), policy)


def test_heads_that_do_not_fit_are_refused(tmp_path: Path, policy: Policy) -> None:
    config = {**TinyModel().config, "text_encoder": {"num_attention_heads": 5}}
    with pytest.raises(UnsupportedLayout, match="5 heads"):
        load_checkpoint(save(tmp_path / "m.safetensors", TinyModel().tensors(), config), policy)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("unet", "norm_num_groups", 0), ("unet", "norm_num_groups", [4]),
        ("unet", "num_attention_heads", None), ("unet", "num_attention_heads", [4, "8"]),
        ("unet", "num_attention_heads", 10**30), ("vae", "norm_num_groups", "many"),
        ("text_encoder", "num_attention_heads", [2]), ("text_encoder", "num_attention_heads", True),
    ],
)  # fmt: skip
def test_counts_that_cannot_be_are_refused(
    part: str, name: str, value: object, tmp_path: Path, policy: Policy
) -> None:
    config = TinyModel().config
    config[part][name] = value
    path = save(tmp_path / "m.safetensors", TinyModel().tensors(), config)
    with pytest.raises((CheckpointUnreadable, UnsupportedLayout), match=r"cannot be|no network"):
        load_checkpoint(path, policy)


@pytest.mark.parametrize("text", ["{", "3", "[]", "\udc80"])
def test_a_folder_with_a_malformed_configuration_is_refused(
    text: str, tmp_path: Path, policy: Policy
) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text(text, "utf-8", errors="surrogateescape")
    with pytest.raises(CheckpointUnreadable, match=r"config\.json.*it is no JSON"):
        load_diffusers_folder(tmp_path, policy)


def test_widths_that_do_not_go_together_are_refused(tmp_path: Path, policy: Policy) -> None:
    path = save(tmp_path / "m.safetensors", TinyModel().tensors())  # norms have 32 groups
    with pytest.raises(UnsupportedLayout, match="32"):
        load_checkpoint(path, policy)


@pytest.mark.parametrize("text", ["{", "[]", '{"unet": 3}'])
def test_malformed_metadata_is_refused(text: str, tmp_path: Path, policy: Policy) -> None:
    from safetensors.torch import save_file

    save_file(TinyModel().tensors(), tmp_path / "m.safetensors", {"darkroom.config": text})
    with pytest.raises(CheckpointUnreadable, match=r"darkroom\.config"):
        load_checkpoint(tmp_path / "m.safetensors", policy)


@pytest.mark.parametrize(
    ("unet", "stored"), [("fp8_e4m3fn", torch.float8_e4m3fn), ("fp8_e5m2", torch.float8_e5m2)]
)
def test_flags_have_weights_kept_in_8_bits(
    tiny_file: Path, policy: Policy, unet: Precision, stored: torch.dtype
) -> None:
    narrow = choose_policy(cpu=True, unet=unet, text=unet)
    here, plain = load_checkpoint(tiny_file, narrow), load_checkpoint(tiny_file, policy)
    assert here.model.network.storage.narrow_to == stored
    assert here.model.dtype == torch.float32
    assert here.model.network.size() < 0.6 * plain.model.network.size()
    assert here.text is not None and plain.text is not None
    found, whole = (loaded.text.encode_text("a cat")[0][0] for loaded in (here, plain))  # type: ignore[union-attr]
    assert not torch.equal(found, whole)
    assert (found - whole).abs().mean() < 0.2 * whole.abs().mean()


def test_halves_stay_where_the_cpu_lacks_memory_for_them_in_float32(
    tiny_file: Path, policy: Policy
) -> None:
    plain = load_checkpoint(tiny_file, policy)
    size = plain.model.network.size()
    tight = load_checkpoint(tiny_file, choose_policy(cpu=True, max_ram=2 * size - 1))
    roomy = load_checkpoint(tiny_file, choose_policy(cpu=True, max_ram=2 * size))
    assert tight.model.network.size() < 0.7 * size
    assert roomy.model.network.size() == size
    x, sigma = torch.ones(1, 4, 8, 8), torch.tensor([2.0])
    context = torch.linspace(-1, 1, 77 * 16).reshape(1, 77, 16)
    found, expected = (one.model.denoised(x, sigma, context) for one in (tight, roomy))
    torch.testing.assert_close(found, expected)
