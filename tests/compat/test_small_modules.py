"""The smaller host modules: flags, helpers of nodes, previews, rounding."""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import comfyui_version
import latent_preview
import msgspec
import node_helpers
import pytest
import torch
from comfy import checkpoint_pickle, cli_args, options, rmsnorm
from comfy.cli_args import LatentPreviewMethod, args
from comfy.float import stochastic_rounding
from PIL import Image, UnidentifiedImageError

from executor.worker_config import WorkerConfig
from nodes.context import NodeSettings
from tests.nodes.context import RecordingReporter, node_context

# Flags


def test_the_flags_are_the_workers_settings() -> None:
    assert args.cpu is True
    assert args.base_directory
    assert args.preview_method is LatentPreviewMethod.NoPreviews
    assert args.disable_all_custom_nodes is False
    assert args.listen == "127.0.0.1"
    assert args.fast == set()


def flags(**settings: Any) -> argparse.Namespace:
    config = WorkerConfig(base="/b", **settings)
    return cli_args._arguments(msgspec.structs.asdict(config))


def test_settings_become_the_flags_that_would_have_set_them() -> None:
    found = flags(
        vram_mode="low",
        unet_precision="bf16",
        force_precision="fp16",
        text_precision="fp32",
        cache_mode="lru",
        cache_lru=7,
        preview_method="taesd",
        custom_nodes=False,
        reserve_vram_gb=1.5,
    )
    assert found.lowvram
    assert not found.highvram
    assert found.bf16_unet
    assert found.force_fp16
    assert found.fp32_text_enc
    assert found.cache_lru == 7
    assert found.preview_method is LatentPreviewMethod.TAESD
    assert found.disable_all_custom_nodes
    assert found.reserve_vram == 1.5


def test_every_documented_flag_has_an_attribute() -> None:
    documented = """listen port base_directory output_directory input_directory user_directory
    temp_directory extra_model_paths_config cpu cuda_device default_device cache_classic cache_lru
    cache_none cache_ram preview_method preview_size enable_cors_header max_upload_size tls_keyfile
    tls_certfile enable_compress_response_body disable_metadata multi_user disable_all_custom_nodes
    whitelist_custom_nodes disable_api_nodes verbose log_stdout dont_print_server
    default_hashing_function front_end_root front_end_version auto_launch disable_auto_launch
    windows_standalone_build quick_test_for_ci gpu_only highvram normalvram lowvram novram
    reserve_vram async_offload disable_async_offload disable_smart_memory disable_pinned_memory
    force_non_blocking disable_mmap mmap_torch_files force_fp32 force_fp16 fp32_unet fp64_unet
    bf16_unet fp16_unet fp8_e4m3fn_unet fp8_e5m2_unet fp8_e8m0fnu_unet fp16_vae fp32_vae bf16_vae
    cpu_vae fp8_e4m3fn_text_enc fp8_e5m2_text_enc fp16_text_enc fp32_text_enc bf16_text_enc
    use_split_cross_attention use_quad_cross_attention use_pytorch_cross_attention
    use_sage_attention use_flash_attention disable_xformers force_upcast_attention
    dont_upcast_attention deterministic fast force_channels_last supports_fp8_compute cuda_malloc
    disable_cuda_malloc directml oneapi_device_selector disable_ipex_optimize enable_manager
    disable_manager_ui enable_manager_legacy_ui comfy_api_base database_url"""
    assert [name for name in documented.split() if not hasattr(args, name)] == []


def test_an_enum_can_be_a_flag_of_a_packs_own_command_line() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--m", type=LatentPreviewMethod, action=cli_args.EnumAction)
    assert parser.parse_args(["--m", "auto"]).m is LatentPreviewMethod.Auto
    options.enable_args_parsing(True)
    assert options.args_parsing


def test_the_version_is_that_of_the_behaviour() -> None:
    assert comfyui_version.__version__.count(".") == 2


# Helpers of nodes


def test_options_are_set_on_every_entry_and_the_original_stays() -> None:
    prompt = torch.zeros(1)
    original: list[list[Any]] = [[prompt, {"a": 1, "list": [1]}], [prompt, {}]]
    changed = node_helpers.conditioning_set_values(original, {"b": 2, "list": [2]})
    assert [options for _, options in changed] == [
        {"a": 1, "list": [2], "b": 2},
        {"b": 2, "list": [2]},
    ]
    assert original[0][1] == {"a": 1, "list": [1]}
    assert changed[0][0] is prompt
    appended = node_helpers.conditioning_set_values(original, {"list": [2]}, append=True)
    assert [options["list"] for _, options in appended] == [[1, 2], [2]]
    assert node_helpers.conditioning_set_values(original) == original


def test_a_picture_that_was_cut_off_is_read_as_far_as_it_goes() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "PNG")
    cut = Image.open(io.BytesIO(buffer.getvalue()[:-400]))
    assert node_helpers.pillow(lambda picture: picture.convert("RGB"), cut).size == (64, 64)
    with pytest.raises(UnidentifiedImageError):
        node_helpers.pillow(Image.open, io.BytesIO(b"no picture"))


def test_alpha_is_cut_off_or_added() -> None:
    three, four = torch.zeros(1, 2, 2, 3), torch.zeros(1, 2, 2, 4)
    assert node_helpers.image_alpha_fix(three, four)[1].shape[-1] == 3
    assert node_helpers.image_alpha_fix(four, three)[1][..., 3].min() == 1
    assert node_helpers.image_alpha_fix(three, three)[1] is three


def test_names_of_types_and_of_digests() -> None:
    assert node_helpers.string_to_torch_dtype("bf16") is torch.bfloat16
    assert node_helpers.string_to_torch_dtype("auto") is None
    assert node_helpers.hasher()(b"x").digest() == hashlib.sha256(b"x").digest()


# Previews


class _Format:
    latent_rgb_factors = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    latent_rgb_factors_bias = (0.0, 0.0, 1.0)


class _Drawing:
    """A model that draws previews itself."""

    def preview(self, x0: torch.Tensor) -> Image.Image:
        return Image.new("RGB", (7, 7))


class _Plain:
    """A model that says how its latents are coloured."""

    load_device = torch.device("cpu")

    class model:
        latent_format = _Format()


def test_latents_become_pictures() -> None:
    latent = torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 6)
    picture = latent_preview.Latent2RGBPreviewer(
        _Format.latent_rgb_factors, _Format.latent_rgb_factors_bias
    ).decode_latent_to_preview(latent)
    assert picture.size == (6, 4)
    assert picture.getpixel((0, 0)) == (255, 0, 255)

    class Decoder:
        def decode(self, x0: torch.Tensor) -> torch.Tensor:
            return torch.ones(1, 3, 8, 8)

    taesd = latent_preview.TAESDPreviewerImpl(Decoder())
    kind, decoded, largest = taesd.decode_latent_to_preview_image("JPEG", latent)
    assert (kind, decoded.size, largest) == ("JPEG", (8, 8), 512)


@pytest.mark.parametrize(("model", "size"), [(_Drawing(), (7, 7)), (_Plain(), (6, 4))])
def test_the_callback_of_samplers_reports_with_a_preview(
    tmp_path: Path, model: Any, size: tuple[int, int]
) -> None:
    reporter = RecordingReporter()
    settings = NodeSettings(preview_method="auto")
    kept: dict[str, Any] = {}
    with node_context(tmp_path, settings=settings, reporter=reporter):
        callback = latent_preview.prepare_callback(model, 3, kept)
        x0 = torch.zeros(1, 2, 4, 6)
        callback(0, x0, x0, 3)
    assert reporter.reports == [("1", 1, 3)]
    assert kept["x0"] is x0
    source = reporter.previews[0]
    assert source is not None
    picture = source()
    assert picture is not None
    assert picture.size == size


def test_without_previews_nothing_is_drawn(tmp_path: Path) -> None:
    reporter = RecordingReporter()
    with node_context(tmp_path, reporter=reporter):
        assert latent_preview.get_previewer(torch.device("cpu"), _Format()) is None
        x0 = torch.zeros(1, 2, 4, 6)
        latent_preview.prepare_callback(_Drawing(), 3)(0, x0, x0, 3)
    assert reporter.previews == [None]


def test_a_pack_can_choose_how_previews_are_made() -> None:
    latent_preview.set_preview_method("latent2rgb")
    try:
        assert latent_preview.get_previewer("cpu", _Format()) is not None
        assert latent_preview.get_previewer("cpu", object()) is None
    finally:
        latent_preview.set_preview_method(None)
    assert latent_preview.get_previewer("cpu", _Format()) is None


# Numbers and pickles


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_rounding_by_chance_is_right_on_average(dtype: torch.dtype) -> None:
    value = torch.full((20000,), 1.03)
    rounded = stochastic_rounding(value, dtype, seed=1)
    assert rounded.dtype == dtype
    assert len(set(rounded.float().tolist())) == 2
    assert rounded.float().mean().item() == pytest.approx(1.03, abs=0.005)
    assert torch.equal(rounded.float(), stochastic_rounding(value, dtype, seed=1).float())


def test_rounding_to_other_types_is_ordinary() -> None:
    assert stochastic_rounding(torch.ones(1), torch.float16).dtype == torch.float16


def test_the_root_of_the_mean_square_is_normalised() -> None:
    x = torch.tensor([[3.0, 4.0]])
    norm = x / (x.square().mean().sqrt())
    torch.testing.assert_close(rmsnorm.rms_norm(x), norm)
    torch.testing.assert_close(rmsnorm.rms_norm(x, torch.tensor([2.0, 2.0])), norm * 2)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


def test_a_pickle_is_read_without_running_code(capsys: pytest.CaptureFixture[str]) -> None:
    text = pickle.dumps({"evil": _Evil(), "n": 1})
    loaded = checkpoint_pickle.load(io.BytesIO(text))
    assert loaded["n"] == 1
    assert isinstance(loaded["evil"], checkpoint_pickle.Empty)
    assert "executed" not in capsys.readouterr().out
