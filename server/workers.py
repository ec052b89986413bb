"""What each worker process is told of the settings."""

from __future__ import annotations

import msgspec

from executor.folders import Folders
from executor.remote_files import RemoteFiles
from executor.worker_config import WorkerConfig
from server.locations import STARTER_MODELS, extra_path_files
from server.setting_values import LOG_LEVELS
from server.settings import GIB, MIB, Settings


class WorkerConfigs:
    """Makes the configuration of workers by name; a restarted one gets its device again."""

    def __init__(self, settings: Settings, folders: Folders) -> None:
        self._settings = settings
        self._folders = folders
        self._extra_configs = [str(file) for file in extra_path_files(settings)]
        self._numbers: dict[str, int] = {}  # worker name -> order of appearance

    def make(self, name: str) -> WorkerConfig:
        """The configuration of one worker."""
        settings, folders = self._settings, self._folders
        values = {
            "base": str(folders.base),
            "input_dir": str(folders.input),
            "output_dir": str(folders.output),
            "temp_dir": str(folders.temp.parent),
            "user_dir": str(folders.user),
            "models_dir": str(folders.models_root),
            "extra_model_configs": self._extra_configs,
            "extra_checkpoint_dirs": [str(STARTER_MODELS)],
            "memory_limit_gb": settings.worker_memory_limit,
            "cpu": settings.cpu,
            "device": self._device(name),
            "vram_mode": settings.vram_mode,
            "reserve_vram_gb": settings.reserve_vram,
            "force_precision": _unless_auto(settings.precision),
            "unet_precision": _unless_auto(settings.unet_precision),
            "vae_precision": _unless_auto(settings.vae_precision),
            "text_precision": _unless_auto(settings.text_encoder_precision),
            "cpu_vae": settings.cpu_vae,
            "max_vram_gb": settings.max_vram,
            "max_ram_gb": settings.max_ram,
            "attention": settings.attention,
            "upcast_attention": settings.upcast_attention,
            "deterministic": settings.deterministic,
            "fast": settings.fast,
            "cache_mode": settings.cache_mode,
            "cache_lru": settings.cache_lru_size,
            "cache_ram_gb": settings.cache_ram_headroom,
            "preview_method": settings.preview_method,
            "preview_size": settings.preview_size,
            "most_pending_saves": settings.pending_saves,
            "disable_metadata": settings.disable_metadata,
            "custom_nodes": not settings.disable_custom_nodes,
            "whitelist_custom_nodes": settings.whitelist_custom_nodes,
            "pack_import_timeout_s": settings.pack_import_timeout,
            "server_address": next(iter(settings.listen), "127.0.0.1"),
            "server_port": settings.port,
            "multi_user": settings.multi_user,
            "max_body_bytes": settings.max_upload_bytes,
            "hide_error_details": settings.hides_error_details,
            "max_image_pixels": settings.most_pixels,
            "max_media_bytes": int(settings.max_media_memory * GIB),
            "max_shader_seconds": settings.max_shader_time,
            "remote": remote_files(settings),
            "offline": settings.disable_api_nodes,
            "date_folder": settings.date_output_format if settings.date_based_output else None,
            "disabled_nodes": settings.disabled_nodes,
            "log_level": _worker_level(settings),
        }
        return msgspec.convert(values, WorkerConfig)

    def _device(self, name: str) -> int | None:
        """GPU index: the workers share the listed ones evenly."""
        number = self._numbers.setdefault(name, len(self._numbers))
        if self._settings.cpu:
            return None
        listed = self._settings.cuda_device
        if listed:
            return listed[number % len(listed)]
        first = self._settings.default_device
        if first is None and self._settings.workers == 1:
            return None
        return (first or 0) + number


def remote_files(settings: Settings) -> RemoteFiles:
    """What nodes may fetch."""
    return RemoteFiles(
        hosts=frozenset(settings.fetch_hosts),
        allow_private=settings.fetch_private,
        most_bytes=int(settings.max_fetch_size * MIB),
        timeout_s=settings.fetch_timeout,
    )


def _worker_level(settings: Settings) -> str:
    """The least severity that anything here takes; workers do not know the level DETAIL."""
    levels = [settings.log_level, *(file.level for file in settings.log_files)]
    least = min(levels, key=LOG_LEVELS.index)
    return "DEBUG" if least == "DETAIL" else least


def _unless_auto(precision: str) -> str | None:
    return None if precision == "auto" else precision
