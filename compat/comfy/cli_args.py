"""ComfyUI's `comfy.cli_args`: the server's settings under the names of ComfyUI's flags.

The worker knows those that concern nodes. The others have the values of a server that was started
without flags; packs read them and, some of them, assign to them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from nodes.context import process_services


class LatentPreviewMethod(Enum):
    """How previews are made."""

    NoPreviews = "none"
    Auto = "auto"
    Latent2RGB = "latent2rgb"
    TAESD = "taesd"

    @classmethod
    def from_string(cls, value: str) -> LatentPreviewMethod | None:
        """By the word of the flag."""
        return next((method for method in cls if method.value == value), None)


class PerformanceFeature(Enum):
    """What `--fast` switches on."""

    Fp16Accumulation = "fp16_accumulation"
    Fp8MatrixMultiplication = "fp8_matrix_mult"
    CublasOps = "cublas_ops"
    AutoTune = "autotune"


class EnumAction(argparse.Action):
    """Lets argparse read an enum; packs with a command line of their own use it."""

    def __init__(self, **options: Any) -> None:
        self._enum: type[Enum] = options.pop("type")
        choices = tuple(member.value for member in self._enum)
        options.setdefault("choices", choices)
        options.setdefault("metavar", f"[{','.join(choices)}]")
        super().__init__(**options)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, self._enum(values))


DEFAULT_VERSION_STRING: Final = "comfyanonymous/ComfyUI@latest"

# Flags as they are without a command line. What the worker knows is put over them.
_DEFAULTS: Final[Mapping[str, Any]] = {
    # The server's own affairs
    "listen": "127.0.0.1",
    "port": 8188,
    "tls_keyfile": None,
    "tls_certfile": None,
    "enable_cors_header": None,
    "max_upload_size": 100,
    "auto_launch": False,
    "disable_auto_launch": False,
    "windows_standalone_build": False,
    "enable_compress_response_body": False,
    "front_end_version": DEFAULT_VERSION_STRING,
    "front_end_root": None,
    "comfy_api_base": "https://api.comfy.org",
    "database_url": None,
    "multi_user": False,
    "verbose": "INFO",
    "log_stdout": False,
    "dont_print_server": False,
    "quick_test_for_ci": False,
    "enable_manager": False,
    "disable_manager_ui": False,
    "enable_manager_legacy_ui": False,
    "feature_flag": None,
    # Folders
    "base_directory": None,
    "output_directory": None,
    "input_directory": None,
    "temp_directory": None,
    "user_directory": None,
    "extra_model_paths_config": None,
    # Packs
    "disable_all_custom_nodes": False,
    "whitelist_custom_nodes": [],
    "disable_api_nodes": False,
    # Devices and memory
    "cuda_device": None,
    "default_device": None,
    "cuda_malloc": False,
    "disable_cuda_malloc": False,
    "directml": None,
    "oneapi_device_selector": None,
    "disable_ipex_optimize": False,
    "supports_fp8_compute": False,
    "gpu_only": False,
    "highvram": False,
    "normalvram": False,
    "lowvram": False,
    "novram": False,
    "cpu": False,
    "reserve_vram": None,
    "async_offload": None,
    "disable_async_offload": False,
    "force_non_blocking": False,
    "disable_smart_memory": False,
    "disable_pinned_memory": False,
    "disable_mmap": False,
    "mmap_torch_files": False,
    "default_hashing_function": "sha256",
    "deterministic": False,
    "fast": set(),
    # Number types
    "force_fp32": False,
    "force_fp16": False,
    "fp32_unet": False,
    "fp64_unet": False,
    "bf16_unet": False,
    "fp16_unet": False,
    "fp8_e4m3fn_unet": False,
    "fp8_e5m2_unet": False,
    "fp8_e8m0fnu_unet": False,
    "fp16_vae": False,
    "fp32_vae": False,
    "bf16_vae": False,
    "cpu_vae": False,
    "fp8_e4m3fn_text_enc": False,
    "fp8_e5m2_text_enc": False,
    "fp16_text_enc": False,
    "fp32_text_enc": False,
    "bf16_text_enc": False,
    "force_channels_last": False,
    # Attention
    "use_split_cross_attention": False,
    "use_quad_cross_attention": False,
    "use_pytorch_cross_attention": True,
    "use_sage_attention": False,
    "use_flash_attention": False,
    "disable_xformers": True,
    "force_upcast_attention": False,
    "dont_upcast_attention": False,
    # Nodes
    "preview_method": LatentPreviewMethod.NoPreviews,
    "preview_size": 512,
    "cache_classic": False,
    "cache_lru": 0,
    "cache_ram": 0,
    "cache_none": False,
    "disable_metadata": False,
}

_SAME: Final = ("cpu", "cpu_vae", "preview_size", "disable_metadata", "whitelist_custom_nodes")
_FOLDERS: Final = {
    "base": "base_directory",
    "output_dir": "output_directory",
    "input_dir": "input_directory",
    "temp_dir": "temp_directory",
    "user_dir": "user_directory",
}
_VRAM: Final = {"gpu-only": "gpu_only", "high": "highvram", "low": "lowvram", "none": "novram"}

_ATTENTION: Final = {
    "split": "use_split_cross_attention",
    "sage": "use_sage_attention",
    "flash": "use_flash_attention",
}


def _arguments(flags: Mapping[str, Any]) -> argparse.Namespace:
    values = {
        name: value.copy() if isinstance(value, list | set) else value
        for name, value in _DEFAULTS.items()
    }
    values |= {name: flags[name] for name in _SAME if name in flags}
    values |= {ours: flags.get(theirs) for theirs, ours in _FOLDERS.items()}
    values["disable_all_custom_nodes"] = not flags.get("custom_nodes", True)
    values["cuda_device"] = flags.get("device")
    values["reserve_vram"] = flags.get("reserve_vram_gb") or None
    values["preview_method"] = LatentPreviewMethod(flags.get("preview_method", "none"))
    values["verbose"] = flags.get("log_level", "INFO")
    if (vram := _VRAM.get(flags.get("vram_mode", "normal"))) is not None:
        values[vram] = True
    for part, end in (("force", ""), ("unet", "_unet"), ("vae", "_vae"), ("text", "_text_enc")):
        precision = flags.get(f"{part}_precision")
        if precision is not None:
            name = f"force_{precision}" if part == "force" else f"{precision}{end}"
            values[name] = True
    kernel = _ATTENTION.get(flags.get("attention", "auto"))
    values["use_pytorch_cross_attention"] = kernel is None
    if kernel is not None:
        values[kernel] = True
    values["force_upcast_attention"] = flags.get("upcast_attention", False)
    values["deterministic"] = flags.get("deterministic", False)
    values["fast"] = {PerformanceFeature(name) for name in flags.get("fast", ())}
    match flags.get("cache_mode"):
        case "lru":
            values["cache_lru"] = flags.get("cache_lru", 0)
        case "ram":
            values["cache_ram"] = flags.get("cache_ram_gb", 0)
        case "none":
            values["cache_none"] = True
    return argparse.Namespace(**values)


parser = argparse.ArgumentParser(prog="darkroom")
args = _arguments(process_services().flags)


def is_valid_directory(path: str) -> str:
    """The path, if it is a folder."""
    import os

    if not os.path.isdir(path):  # noqa: PTH112
        raise argparse.ArgumentTypeError(f"{path} is not a folder")
    return path


def enables_dynamic_vram() -> bool:
    """Whether weights are read in page by page."""
    return False
