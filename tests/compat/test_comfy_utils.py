"""`comfy.utils` as packs use it."""

from __future__ import annotations

import pickle
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from comfy import utils
from comfy.not_yet import NotYetSupported
from PIL import Image
from torch import Tensor, nn

from models.errors import UnsafeCheckpoint
from nodes.context import Interrupted
from tests.nodes.context import RecordingReporter, node_context


@pytest.fixture
def reporter(tmp_path: Path) -> Iterator[RecordingReporter]:
    """The surroundings of node "1"."""
    recording = RecordingReporter()
    with node_context(tmp_path, reporter=recording):
        yield recording


# Files


def test_a_safetensors_file_is_written_and_read_with_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weight = torch.arange(6.0).reshape(2, 3)
    utils.save_torch_file({"w": weight.t()}, str(path), metadata={"note": "hello"})
    assert torch.equal(utils.load_torch_file(str(path))["w"], weight.t())
    state_dict, metadata = utils.load_torch_file(str(path), return_metadata=True)
    assert list(state_dict) == ["w"]
    assert metadata == {"note": "hello"}
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
    header = utils.safetensors_header(str(path))
    assert header is not None
    assert header.startswith(b"{")
    assert utils.safetensors_header(str(path), max_size=1) is None


@pytest.mark.parametrize("wrapped", ["state_dict", "params_ema", None])
def test_a_pickle_of_tensors_is_read_wherever_trainers_put_them(
    tmp_path: Path, wrapped: str | None
) -> None:
    path = tmp_path / "a.pth"
    content: dict[str, Any] = {"w": torch.ones(2), "scale": 4}
    torch.save({wrapped: content} if wrapped else content, path)
    loaded = utils.load_torch_file(path, safe_load=False, device=torch.device("cpu"))
    assert torch.equal(loaded["w"], torch.ones(2))
    assert loaded["scale"] == 4


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


def test_a_pickle_that_asks_for_more_than_tensors_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"w": _Evil()}, protocol=2))
    with pytest.raises(UnsafeCheckpoint):
        utils.load_torch_file(path, safe_load=False)
    assert "executed" not in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        utils.load_torch_file(tmp_path / "nothing.safetensors")


# State dicts


def test_state_dicts_are_counted_and_their_type_is_found() -> None:
    sd = {"a.w": torch.ones(2, 3), "a.b": torch.ones(2).half(), "c": torch.ones(99).half()}
    assert utils.calculate_parameters(sd) == 107
    assert utils.calculate_parameters(sd, "a.") == 8
    assert utils.weight_dtype(sd) == torch.float16
    assert utils.weight_dtype(sd, "a.") == torch.float32
    assert utils.weight_dtype(sd, "none") is None
    assert utils.convert_sd_to(dict(sd), torch.float32)["c"].dtype == torch.float32


def test_keys_and_prefixes_are_renamed() -> None:
    sd: dict[str, Any] = {"a.x": 1, "a.y": 2, "b": 3}
    assert utils.state_dict_key_replace(sd, {"b": "c", "none": "d"}) is sd
    assert utils.state_dict_prefix_replace(sd, {"a.": "z."}) is sd
    assert sd == {"z.x": 1, "z.y": 2, "c": 3}
    assert utils.state_dict_prefix_replace(sd, {"z.": ""}, filter_keys=True) == {"x": 1, "y": 2}
    assert sd == {"c": 3}


def test_the_names_of_open_clip_become_those_of_transformers() -> None:
    sd = {
        "m.positional_embedding": torch.ones(1),
        "m.transformer.resblocks.0.attn.in_proj_weight": torch.arange(6.0).reshape(6, 1),
        "m.transformer.resblocks.0.mlp.c_fc.bias": torch.ones(1),
        "m.ln_final.weight": torch.ones(1),
        "m.text_projection": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    }
    utils.clip_text_transformers_convert(sd, "m.", "t.")
    layer = "t.text_model.encoder.layers.0"
    assert sorted(sd) == sorted(
        [
            "t.text_model.embeddings.position_embedding.weight",
            *(f"{layer}.self_attn.{x}_proj.weight" for x in "qkv"),
            f"{layer}.mlp.fc1.bias",
            "t.text_model.final_layer_norm.weight",
            "t.text_projection.weight",
        ]
    )
    assert sd[f"{layer}.self_attn.k_proj.weight"].flatten().tolist() == [2.0, 3.0]
    assert sd["t.text_projection.weight"].tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_the_names_of_a_unet_are_those_of_diffusers_own_converter() -> None:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    # The layout of Stable Diffusion 1.5
    names = utils.unet_to_diffusers(
        {
            "num_res_blocks": [2, 2, 2, 2],
            "channel_mult": [1, 2, 4, 4],
            "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
            "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            "transformer_depth_middle": 1,
        }
    )
    prefix = "model.diffusion_model."
    config = {"class_embed_type": None, "addition_embed_type": None, "layers_per_block": 2}
    ours = {old: new for new, old in names.items()}
    known = {old: old for old in ours if "label_emb" not in old}
    converted = convert_ldm_unet_checkpoint({prefix + old: old for old in known}, config)
    assert len(converted) >= 686  # all weights of that UNet
    for theirs, old in converted.items():
        assert ours[old] == theirs


# Batches and attributes


def test_batches_are_cut_and_repeated() -> None:
    x = torch.arange(3)
    assert utils.repeat_to_batch_size(x, 2).tolist() == [0, 1]
    assert utils.repeat_to_batch_size(x, 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert utils.repeat_to_batch_size(x[None], 4, dim=1).tolist() == [[0, 1, 2, 0]]
    assert utils.resize_to_batch_size(torch.arange(5), 3).tolist() == [0, 2, 4]
    assert utils.resize_to_batch_size(x, 6).tolist() == [0, 0, 1, 1, 2, 2]
    assert utils.resize_list_to_batch_size(["a", "b"], 1) == ["a"]


def test_attributes_are_reached_by_their_path() -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    before = utils.get_attr(module, "0.weight")
    with torch.inference_mode():
        made = torch.zeros(2, 2)
    assert utils.set_attr_param(module, "0.weight", made) is before
    weight = utils.get_attr(module, "0.weight")
    assert isinstance(weight, nn.Parameter)
    assert not weight.requires_grad
    utils.copy_to_param(module, "0.weight", torch.ones(2, 2))
    assert torch.equal(weight, torch.ones(2, 2))
    assert utils.set_attr(module, "0.note", 1) is utils.ATTR_UNSET
    assert utils.set_attr(module, "0.note", utils.ATTR_UNSET) == 1
    assert not hasattr(module[0], "note")


# Pictures


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"])
def test_pictures_are_resized_and_cut_around_their_centre(method: str) -> None:
    picture = torch.zeros(1, 3, 8, 16)
    picture[..., 4:12] = 1.0
    assert utils.common_upscale(picture, 4, 4, method, "disabled").shape == (1, 3, 4, 4)
    assert utils.common_upscale(picture, 4, 4, method, "center").min() > 0.9


def test_the_lone_resizers_are_the_ones_behind_it() -> None:
    picture = torch.rand(1, 4, 8, 8)
    for name in ("bislerp", "lanczos"):
        alone = getattr(utils, name)(picture, 5, 6)
        assert torch.equal(alone, utils.common_upscale(picture, 5, 6, name, "disabled"))


class _Count:
    count = 0

    def update(self, value: int) -> None:
        self.count += value


def test_tiles_are_blended_without_a_seam_and_counted() -> None:
    picture = torch.rand(2, 3, 50, 70, generator=torch.Generator().manual_seed(0))
    bar = _Count()
    doubled = utils.tiled_scale(
        picture,
        lambda tile: nn.functional.interpolate(tile, scale_factor=2, mode="nearest"),
        tile_x=32,
        tile_y=24,
        overlap=8,
        upscale_amount=2,
        pbar=bar,
    )
    whole = nn.functional.interpolate(picture, scale_factor=2, mode="nearest")
    torch.testing.assert_close(doubled, whole)
    assert bar.count == 2 * utils.get_tiled_scale_steps(70, 50, 32, 24, 8)


def test_what_fits_into_one_tile_is_handed_over_whole() -> None:
    shapes: list[tuple[int, ...]] = []

    def function(tile: Tensor) -> Tensor:
        shapes.append(tuple(tile.shape))
        return tile

    utils.tiled_scale(torch.rand(1, 3, 20, 30), function, upscale_amount=1)
    assert shapes == [(1, 3, 20, 30)]


def test_the_weights_of_tiles_that_disagree_pass_from_one_to_the_other() -> None:
    calls = iter([0.0, 1.0])
    line = utils.tiled_scale_multidim(
        torch.zeros(1, 1, 16),
        lambda tile: torch.full_like(tile, next(calls)),
        tile=(10,),
        overlap=4,
        upscale_amount=1,
        out_channels=1,
    )[0, 0]
    assert line[0] == 0.0
    assert line[-1] == 1.0
    assert bool((line.diff() >= 0).all())
    assert 0.0 < float(line[8]) < 1.0


def test_axes_may_grow_by_functions_and_shrink() -> None:
    video = torch.rand(1, 2, 5, 16, 16)
    made = utils.tiled_scale_multidim(
        video,
        lambda tile: tile.repeat_interleave(2, 3).repeat_interleave(2, 4)[:, :, : tile.shape[2]],
        tile=(3, 8, 8),
        overlap=(1, 2, 2),
        upscale_amount=(lambda frames: frames, 2, 2),
        out_channels=2,
    )
    assert made.shape == (1, 2, 5, 32, 32)
    small = utils.tiled_scale_multidim(
        torch.rand(1, 3, 64, 64),
        lambda tile: nn.functional.avg_pool2d(tile, 8),
        tile=(32, 32),
        overlap=16,
        upscale_amount=8,
        downscale=True,
    )
    assert small.shape == (1, 3, 8, 8)


def test_masks_take_the_shape_of_what_they_are_for() -> None:
    mask = torch.ones(1, 8, 8)
    assert utils.reshape_mask(mask, (2, 4, 16, 12)).shape == (2, 4, 16, 12)
    assert utils.reshape_mask(torch.ones(5, 8, 8), (1, 3, 5, 4, 4)).shape == (1, 3, 5, 4, 4)


# Progress


def test_a_bar_reports_with_previews_and_stops_when_interrupted(
    reporter: RecordingReporter,
) -> None:
    bar = utils.ProgressBar(4)
    bar.update(1)
    picture = Image.new("RGB", (2, 2))
    bar.update_absolute(3, preview=("JPEG", picture, 512))
    bar.update_absolute(9, total=5)
    assert reporter.reports == [("1", 1, 4), ("1", 3, 4), ("1", 5, 5)]
    source = reporter.previews[1]
    assert source is not None
    assert source() is picture
    reporter.interrupted = True
    with pytest.raises(Interrupted):
        bar.update(1)


def test_a_bar_may_be_for_another_node(reporter: RecordingReporter) -> None:
    utils.ProgressBar(2, node_id="7").update(1)
    assert reporter.reports == [("7", 1, 2)]


def test_a_bar_made_in_a_node_reports_from_a_thread_as_well(reporter: RecordingReporter) -> None:
    bar = utils.ProgressBar(2)
    thread = threading.Thread(target=bar.update, args=(1,))
    thread.start()
    thread.join(10)
    assert reporter.reports == [("1", 1, 2)]


def test_a_bar_outside_of_nodes_counts_and_tells_nobody() -> None:
    bar = utils.ProgressBar(3)
    bar.update(2)
    assert bar.current == 2


def test_a_pack_can_have_bars_report_to_itself(reporter: RecordingReporter) -> None:
    seen: list[tuple[float, float]] = []
    before = utils.PROGRESS_BAR_HOOK
    assert before is not None

    def hook(value: float, total: float, preview: Any, node_id: str | None = None) -> None:
        seen.append((value, total))
        before(value, total, preview, node_id=node_id)

    utils.set_progress_bar_global_hook(hook)
    try:
        utils.ProgressBar(2).update(1)
    finally:
        utils.set_progress_bar_global_hook(before)
    assert seen == [(1, 2)]
    assert reporter.reports == [("1", 1, 2)]


def test_bars_in_the_log_can_be_switched_off() -> None:
    utils.set_progress_bar_enabled(False)
    assert utils.PROGRESS_BAR_ENABLED is False
    utils.set_progress_bar_enabled(True)


# Others


def test_a_text_gives_a_number() -> None:
    assert utils.string_to_seed("hello") == zlib.crc32(b"hello")
    assert utils.string_to_seed("日") == utils.string_to_seed("日") > 0


def test_lists_and_dicts_are_copied_and_their_values_shared() -> None:
    tensor = torch.ones(1)
    original = {"a": [tensor, {"b": 1}]}
    copied = utils.deepcopy_list_dict(original)
    assert copied == original
    assert copied["a"] is not original["a"]
    assert copied["a"][0] is tensor


def test_a_name_without_a_part_behind_it_says_so_in_use() -> None:
    function = utils.flux_to_diffusers
    with pytest.raises(NotYetSupported, match=r"comfy\.utils\.flux_to_diffusers"):
        function({})
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = utils.no_such_name
