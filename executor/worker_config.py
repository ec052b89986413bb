"""What a worker process is told at its start. No torch: the server makes this."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from executor.folders import Folders
from executor.remote_files import RemoteFiles

Precision: TypeAlias = Literal["fp16", "bf16", "fp32", "fp8_e4m3fn", "fp8_e5m2"]
AttentionKernel: TypeAlias = Literal["auto", "pytorch", "split", "sage", "flash", "xformers"]
VramMode: TypeAlias = Literal["gpu-only", "high", "normal", "low", "none"]
CacheMode: TypeAlias = Literal["classic", "lru", "ram", "none"]
PreviewMethod: TypeAlias = Literal["none", "auto", "latent2rgb", "taesd"]


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one worker; travels as JSON on its command line."""

    base: str  # base directory
    input_dir: str | None = None
    output_dir: str | None = None
    temp_dir: str | None = None  # the folder that holds temp/
    user_dir: str | None = None
    models_dir: str | None = None
    extra_model_configs: list[str] = []  # YAML files of further model folders
    extra_checkpoint_dirs: list[str] = []  # searched for checkpoints after all others

    memory_limit_gb: float = 0.0  # of RAM, over which allocations fail; 0: no limit
    cpu: bool = False  # use no GPU
    device: int | None = None  # index of the GPU; None: the first one
    vram_mode: VramMode = "normal"
    reserve_vram_gb: float = 0.0  # kept free beside models
    force_precision: Precision | None = None  # of all parts; None: what suits the device
    unet_precision: Precision | None = None  # each part's own wins
    vae_precision: Precision | None = None
    text_precision: Precision | None = None
    cpu_vae: bool = False
    max_vram_gb: float = 0.0  # of the GPU's memory that is used; 0: all
    max_ram_gb: float = 0.0  # that weights take of the RAM; 0: what is free
    attention: AttentionKernel = "auto"
    upcast_attention: bool = False  # compute it in float32
    fast: list[str] = []  # names of models.speed
    deterministic: bool = False

    cache_mode: CacheMode = "classic"
    cache_lru: int = 0  # node results that lru keeps
    cache_ram_gb: float = 4.0  # memory that ram leaves free
    preview_method: PreviewMethod = "none"
    preview_size: int = 512
    disable_metadata: bool = False  # leave the workflow out of saved files

    max_image_pixels: int = 150_000_000  # of a picture that nodes read, all frames together
    max_media_bytes: int = 16 * 2**30  # of a video's pictures, or a sound, once decoded
    max_shader_seconds: float = 120.0  # that a shader may take for one picture
    most_pending_saves: int = 4  # files that may wait to be written while nodes run
    date_folder: str | None = None  # strftime format of a subfolder that pictures are saved in

    remote: RemoteFiles = RemoteFiles()  # what nodes may fetch
    offline: bool = False  # ask no model hub for what is missing
    disabled_nodes: list[str] = []  # classes that are left out
    custom_nodes: bool = True  # load node packs
    whitelist_custom_nodes: list[str] = []  # loaded even if `custom_nodes` is off
    left_out: dict[str, str] = {}  # packs that are not loaded -> why not
    pack_import_timeout_s: float = 120.0  # a pack that takes longer ends the process; 0: no limit
    run_folder: str | None = None  # private to this worker; None: packs' routes are not served
    server_address: str = "127.0.0.1"  # where clients reach the server, for packs that ask
    server_port: int = 8188
    multi_user: bool = False  # requests name their user
    max_body_bytes: int = 100 * 2**20  # largest body of a request to a pack's route
    known_fingerprint: str | None = None  # of the definitions that the server has already
    hide_error_details: bool = False  # errors tell clients neither tracebacks nor paths
    heartbeat_s: float = 2.0
    log_level: str = "INFO"

    def folders(self) -> Folders:
        """The folders that this worker reads and writes; nothing is made on disk."""
        return Folders.build(
            Path(self.base),
            input_dir=_path(self.input_dir),
            output_dir=_path(self.output_dir),
            temp_dir=_path(self.temp_dir),
            user_dir=_path(self.user_dir),
            models_dir=_path(self.models_dir),
            extra_configs=[Path(file) for file in self.extra_model_configs],
            extra_checkpoints=[Path(folder) for folder in self.extra_checkpoint_dirs],
        )

    def to_json(self) -> str:
        """The form for the command line."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> WorkerConfig:
        """Read `to_json`'s form; raises msgspec.DecodeError or ValidationError."""
        return msgspec.json.decode(text, type=cls)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
