"""What workers are told of the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from executor.folders import Folders
from server.locations import STARTER_MODELS, make_folders
from server.settings import Settings, build_settings
from server.workers import WorkerConfigs


def settings(base: Path, **values: object) -> Settings:
    return build_settings({"base_directory": str(base)} | values, {})


def configs(base: Path, **values: object) -> WorkerConfigs:
    chosen = settings(base, **values)
    return WorkerConfigs(chosen, Folders.build(base))


def test_a_worker_uses_the_same_folders(tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("x:\n  loras: l\n")
    chosen = settings(
        tmp_path / "b",
        temp_directory=str(tmp_path / "t"),
        output_directory=str(tmp_path / "o"),
        models_directory=str(tmp_path / "m"),
        extra_model_paths=str(more),
    )
    folders = make_folders(chosen)
    theirs = WorkerConfigs(chosen, folders).make("w").folders()
    assert theirs == folders
    assert STARTER_MODELS in theirs.models["checkpoints"]


def test_a_worker_is_told_how_to_compute(tmp_path: Path) -> None:
    config = configs(
        tmp_path, cpu=True, precision="fp16", vae_precision="fp32", vram_mode="low", cpu_vae=True
    ).make("w")
    assert (config.cpu, config.device, config.cpu_vae) == (True, None, True)
    assert (config.force_precision, config.unet_precision, config.vae_precision) == (
        "fp16",
        None,
        "fp32",
    )
    assert config.vram_mode == "low"


def test_a_worker_is_told_how_much_memory_it_may_take(tmp_path: Path) -> None:
    config = configs(
        *(tmp_path,),
        max_vram="8G",
        max_ram="512M",
        unet_precision="fp8_e5m2",
        attention="split",
        upcast_attention=True,
        deterministic=True,
        fast=["autotune"],
    ).make("w")
    assert (config.max_vram_gb, config.max_ram_gb) == (8.0, 0.5)
    assert (config.unet_precision, config.attention) == ("fp8_e5m2", "split")
    assert (config.upcast_attention, config.deterministic, config.fast) == (
        *(True, True),
        ["autotune"],
    )


def test_a_worker_is_told_what_to_keep_and_show(tmp_path: Path) -> None:
    config = configs(
        tmp_path,
        cache_mode="lru",
        cache_lru_size=5,
        preview_method="taesd",
        preview_size=64,
        disable_metadata=True,
        disable_custom_nodes=True,
        whitelist_custom_nodes="a,b",
    ).make("w")
    assert (config.cache_mode, config.cache_lru) == ("lru", 5)
    assert (config.preview_method, config.preview_size) == ("taesd", 64)
    assert config.disable_metadata
    assert (config.custom_nodes, config.whitelist_custom_nodes) == (False, ["a", "b"])


def test_a_worker_is_told_what_to_leave_out_and_where_to_save(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    file.write_text("[SaveImage]")
    config = configs(tmp_path, disabled_nodes=str(file), date_based_output=True).make("w")
    assert (config.disabled_nodes, config.date_folder) == (["SaveImage"], "%Y-%m-%d")
    assert configs(tmp_path).make("w").date_folder is None


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ({}, "INFO"),
        ({"log_level": "ERROR"}, "ERROR"),
        ({"log_level": "DETAIL"}, "DEBUG"),
        ({"log_level": "ERROR", "log_files": "WARNING:/l,CRITICAL:/m"}, "WARNING"),
    ],
)
def test_a_worker_reports_what_something_here_logs(
    tmp_path: Path, values: dict[str, object], level: str
) -> None:
    assert configs(tmp_path, **values).make("w").log_level == level


@pytest.mark.parametrize(
    ("values", "devices"),
    [
        ({}, [None]),
        ({"default_device": 1}, [1]),
        ({"cuda_device": "2"}, [2]),
        ({"workers": 3}, [0, 1, 2]),
        ({"workers": 3, "cuda_device": "4,6"}, [4, 6, 4]),
        ({"workers": 2, "cpu": True}, [None, None]),
    ],
)
def test_workers_share_the_devices(
    tmp_path: Path, values: dict[str, object], devices: list[int | None]
) -> None:
    made = configs(tmp_path, **values)
    names = [f"worker {number}" for number in range(len(devices))]
    assert [made.make(name).device for name in names] == devices
    assert [made.make(name).device for name in reversed(names)] == devices[::-1]


def test_an_offline_server_has_workers_that_ask_no_hub(tmp_path: Path) -> None:
    assert configs(tmp_path, disable_api_nodes=True).make("w").offline
    assert not configs(tmp_path).make("w").offline
