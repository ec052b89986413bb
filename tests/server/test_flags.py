"""The command line: every flag of ComfyUI is understood."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from server import setting_values
from server.flags import FLAGS, ParsedFlags, add_flags, read_flags
from server.setting_values import LogFile
from server.settings import PARSERS, SettingError, Settings, build_settings

ROOT = Path(__file__).parent.parent.parent


def parse(*argv: str) -> ParsedFlags:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return read_flags(parser, parser.parse_args(argv))


def settings(*argv: str) -> Settings:
    return build_settings(parse(*argv).settings, {})


WORKING = [
    (["--listen"], "listen", ("0.0.0.0", "::")),
    (["--listen", "10.0.0.1,::1"], "listen", ("10.0.0.1", "::1")),
    (["--port", "8000"], "port", 8000),
    (["--base-directory", "/b"], "base_directory", Path("/b")),
    (["--models-directory", "/m"], "models_directory", Path("/m")),
    (["--output-directory", "/o"], "output_directory", Path("/o")),
    (["--input-directory", "/i"], "input_directory", Path("/i")),
    (["--user-directory", "/u"], "user_directory", Path("/u")),
    (["--temp-directory", "/t"], "temp_directory", Path("/t")),
    (
        ["--extra-model-paths-config", "/a", "/b", "--extra-model-paths-config", "/c"],
        "extra_model_paths",
        (Path("/a"), Path("/b"), Path("/c")),
    ),
    (["--allow-anonymous"], "allow_anonymous", True),
    (["--require-keys"], "require_keys", True),
    (["--keys-file", "/k"], "keys_file", Path("/k")),
    (["--cpu"], "cpu", True),
    (["--cuda-device", "1"], "cuda_device", (1,)),
    (["--cuda-device", "0,2"], "cuda_device", (0, 2)),
    (["--cuda-device", "all"], "cuda_device", ()),
    (["--default-device", "1"], "default_device", 1),
    (["--cache-classic"], "cache_mode", "classic"),
    (["--cache-lru", "7"], "cache_lru_size", 7),
    (["--cache-lru", "7"], "cache_mode", "lru"),
    (["--cache-none"], "cache_mode", "none"),
    (["--cache-ram"], "cache_ram_headroom", 4.0),
    (["--cache-ram", "2.5"], "cache_ram_headroom", 2.5),
    (["--cache-ram", "2.5"], "cache_mode", "ram"),
    (["--cache-ram", "2.5", "30"], "cache_ram_headroom", 2.5),
    (["--high-ram"], "cache_mode", "classic"),
    (["--cache-none", "--high-ram"], "cache_mode", "none"),
    (["--date-based-output"], "date_based_output", True),
    (["--date-output-format", "%Y/%m"], "date_output_format", "%Y/%m"),
    (["--preview-method", "taesd"], "preview_method", "taesd"),
    (["--preview-size", "256"], "preview_size", 256),
    (["--enable-cors-header"], "cors_origin", "*"),
    (["--enable-cors-header", "https://a.b"], "cors_origin", "https://a.b"),
    (["--max-upload-size", "0.5"], "max_upload_size", 0.5),
    (["--tls-keyfile", "/k"], "tls_keyfile", Path("/k")),
    (["--tls-certfile", "/c"], "tls_certfile", Path("/c")),
    (["--enable-compress-response-body"], "compress_responses", True),
    (["--disable-metadata"], "disable_metadata", True),
    (["--multi-user"], "multi_user", True),
    (["--disable-all-custom-nodes"], "disable_custom_nodes", True),
    (["--whitelist-custom-nodes", "a", "b"], "whitelist_custom_nodes", ("a", "b")),
    (["--disable-api-nodes"], "disable_api_nodes", True),
    (["--offline"], "disable_api_nodes", True),
    (["--feature-flag", "a=b,c", "--feature-flag", "d"], "feature_flags", ("a=b,c", "d")),
    (["--verbose"], "log_level", "DEBUG"),
    (["--verbose", "WARNING"], "log_level", "WARNING"),
    (["--verbose", "DETAIL"], "log_level", "DETAIL"),
    (["--verbose", "--verbose", "ERROR"], "log_level", "ERROR"),
    (["--verbose", "DEBUG", "/l"], "log_level", "INFO"),
    (["--verbose", "DEBUG", "/l:1"], "log_files", (LogFile("DEBUG", Path("/l:1")),)),
    (
        ["--verbose", "DEBUG", "/a", "--verbose", "WARNING", "--verbose", "INFO", "/b"],
        "log_files",
        (LogFile("DEBUG", Path("/a")), LogFile("INFO", Path("/b"))),
    ),
    (["--log-stdout"], "log_stdout", True),
    (["--dont-print-server"], "quiet", True),
    (["--default-hashing-function", "md5"], "upload_hash", "md5"),
    (["--front-end-root", "/f"], "front_end_root", Path("/f")),
    (["--quick-test-for-ci"], "quick_test", True),
    (["--gpu-only"], "vram_mode", "gpu-only"),
    (["--highvram"], "vram_mode", "high"),
    (["--normalvram"], "vram_mode", "normal"),
    (["--lowvram"], "vram_mode", "low"),
    (["--novram"], "vram_mode", "none"),
    (["--reserve-vram", "1"], "reserve_vram", 1.0),
    (["--force-fp32"], "precision", "fp32"),
    (["--force-fp16"], "precision", "fp16"),
    (["--fp32-unet"], "unet_precision", "fp32"),
    (["--fp64-unet"], "unet_precision", "fp32"),
    (["--bf16-unet"], "unet_precision", "bf16"),
    (["--fp16-unet"], "unet_precision", "fp16"),
    (["--fp16-vae"], "vae_precision", "fp16"),
    (["--fp32-vae"], "vae_precision", "fp32"),
    (["--bf16-vae"], "vae_precision", "bf16"),
    (["--cpu-vae"], "cpu_vae", True),
    (["--fp16-text-enc"], "text_encoder_precision", "fp16"),
    (["--fp32-text-enc"], "text_encoder_precision", "fp32"),
    (["--bf16-text-enc"], "text_encoder_precision", "bf16"),
    (["--fp8_e4m3fn-unet"], "unet_precision", "fp8_e4m3fn"),
    (["--fp8_e5m2-unet"], "unet_precision", "fp8_e5m2"),
    (["--fp8_e4m3fn-text-enc"], "text_encoder_precision", "fp8_e4m3fn"),
    (["--fp8_e5m2-text-enc"], "text_encoder_precision", "fp8_e5m2"),
    (["--cpu"], "cpu", True),
    (["--max-vram", "8G"], "max_vram", 8.0),
    (["--max-vram", "512 MiB"], "max_vram", 0.5),
    (["--max-ram", "1.5gb"], "max_ram", 1.5),
    (["--max-ram", "12"], "max_ram", 12.0),
    (["--max-ram", "1T"], "max_ram", 1024.0),
    (["--use-pytorch-cross-attention"], "attention", "pytorch"),
    (["--use-split-cross-attention"], "attention", "split"),
    (["--use-quad-cross-attention"], "attention", "split"),
    (["--force-upcast-attention"], "upcast_attention", True),
    (["--dont-upcast-attention"], "upcast_attention", False),
    (["--deterministic"], "deterministic", True),
    (["--fast"], "fast", ("fp16_accumulation", "fp8_matrix_mult", "cublas_ops", "autotune")),
    (["--fast", "autotune", "cublas_ops"], "fast", ("autotune", "cublas_ops")),
    (["--database-url", "sqlite:///x"], "database_url", "sqlite:///x"),
    (["--workers", "2"], "workers", 2),
    (["--log-format", "json"], "log_format", "json"),
]

NOTED = [
    *(["--auto-launch"], ["--disable-auto-launch"], ["--windows-standalone-build"]),
    *(["--fp8_e8m0fnu-unet"], ["--use-ck-attention"]),
    *(["--async-offload"], ["--async-offload", "2"]),
    *(["--disable-async-offload"], ["--disable-smart-memory"], ["--disable-pinned-memory"]),
    *(["--force-non-blocking"], ["--disable-mmap"], ["--mmap-torch-files"]),
    *(["--disable-xformers"], ["--force-channels-last"]),
    *(["--supports-fp8-compute"], ["--cuda-malloc"], ["--disable-cuda-malloc"]),
    *(["--enable-manager"], ["--disable-manager-ui"], ["--enable-manager-legacy-ui"]),
    ["--comfy-api-base", "https://x"],
    *(["--disable-ipex-optimize"], ["--disable-partner-nodes"], ["--enable-assets"]),
    *(["--disable-assets"], ["--enable-asset-hashing"], ["--enable-dynamic-vram"]),
    *(["--disable-dynamic-vram"], ["--vram-headroom", "2"], ["--fast-disk"]),
    *(["--disable-fast-disk"], ["--disable-nvml-pressure"], ["--fp16-intermediates"]),
    *(["--enable-triton-backend"], ["--disable-triton-backend"]),
    *(["--disable-cuda-graphs"], ["--disable-comfy-compiler"], ["--assert-graph-breaks"]),
    *(["--debug-hang"], ["--debug-hang", "3"]),
]


@pytest.mark.parametrize(("argv", "name", "value"), WORKING)
def test_a_flag_sets_its_setting(argv: list[str], name: str, value: object) -> None:
    assert getattr(settings(*argv), name) == value


@pytest.mark.parametrize("argv", NOTED)
def test_a_flag_that_means_nothing_here_is_accepted_and_noted(argv: list[str]) -> None:
    parsed = parse(*argv)
    assert parsed.noted == (argv[0],)
    assert parsed.settings == {}


@pytest.mark.parametrize(
    "argv",
    [
        ["--front-end-version", "a@b"],
        ["--directml"],
        ["--directml", "1"],
        ["--oneapi-device-selector", "x"],
    ],
)
def test_a_flag_that_cannot_be_honoured_is_refused(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*argv)
    assert caught.value.code == 2
    assert f"{argv[0]} is not supported" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["--no-such-flag"],
        ["--cache-ram", "1", "2", "3"],
        ["--verbose", "INFO", "/a", "/b"],
        ["--port"],
        ["--cache-none", "--cache-lru", "3"],
        ["--cpu", "--highvram"],
        ["--fp16-vae", "--fp32-vae"],
        ["--cuda-malloc", "--disable-cuda-malloc"],
    ],
)
def test_wrong_usage_ends_with_status_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(*argv)
    assert caught.value.code == 2


def test_without_flags_nothing_is_set() -> None:
    assert parse() == ParsedFlags(settings={}, config=None, noted=())


def test_every_flag_names_settings_that_exist() -> None:
    assert {setting for flag in FLAGS for setting in flag.sets} <= set(PARSERS)


def test_the_documentation_lists_every_flag() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    assert not [flag.name for flag in FLAGS if f"`{flag.name}`" not in text]


def test_disabled_nodes_are_read_from_their_file(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    file.write_text("- SaveImage\n- KSampler\n")
    assert settings("--disabled-nodes-config", str(file)).disabled_nodes == (
        "SaveImage",
        "KSampler",
    )
    file.write_text("")
    assert settings("--disabled-nodes-config", str(file)).disabled_nodes == ()


@pytest.mark.parametrize("content", [None, "a: b", "- 1", "[", "\0"])
def test_a_file_of_disabled_nodes_must_hold_a_list(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "nodes.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingError, match="disabled_nodes"):
        settings("--disabled-nodes-config", str(file))


@pytest.mark.parametrize(
    "argv",
    [
        ["--verbose", "LOUD"],
        ["--verbose", "LOUD", "/l"],
        ["--cuda-device", "every"],
        ["--date-output-format", "../%Y"],
        ["--date-output-format", "/tmp"],
        ["--date-output-format", ""],
        ["--max-vram", "lots"],
        ["--max-ram", "G"],
        ["--fast", "everything"],
    ],
)
def test_a_value_that_cannot_be_used_is_refused(argv: list[str]) -> None:
    with pytest.raises(SettingError):
        settings(*argv)


@pytest.mark.parametrize(
    ("flag", "kernel", "module", "package"),
    [
        ("--use-sage-attention", "sage", "sageattention", "sageattention"),
        ("--use-flash-attention", "flash", "flash_attn", "flash-attn"),
        ("--use-xformers-attention", "xformers", "xformers", "xformers"),
    ],
)
def test_attention_of_a_package_takes_the_package(
    flag: str, kernel: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setting_values, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match=f"pip install {package}"):
        settings(flag)
    found = {module: object()}
    monkeypatch.setattr(setting_values, "find_spec", found.get)
    assert settings(flag).attention == kernel
