"""What a worker process is told at its start. No torch: the server makes this."""

from __future__ import annotations

from pathlib import Path

import msgspec

from executor.folders import Folders


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one worker; travels as JSON on its command line."""

    base: str  # base directory
    input_dir: str | None = None
    output_dir: str | None = None
    temp_dir: str | None = None  # the folder that holds temp/
    user_dir: str | None = None
    extra_model_configs: list[str] = []  # YAML files of further model folders
    extra_checkpoint_dirs: list[str] = []  # searched for checkpoints after all others

    cpu: bool = False  # use no GPU
    device: int | None = None  # index of the GPU; None: the first one
    vram_policy: str = "auto"  # auto, gpu-only, high, normal, low or none
    deterministic: bool = False
    model_dtype: str | None = None  # float32, float16, bfloat16, ...; None: by device
    vae_dtype: str | None = None
    text_encoder_dtype: str | None = None
    cpu_vae: bool = False

    cache_mode: str = "classic"  # classic, lru, ram or none
    cache_lru: int = 0  # node results that lru keeps
    cache_ram_gb: float = 4.0  # memory that ram leaves free
    preview_method: str = "none"  # none, auto, latent2rgb or taesd
    preview_size: int = 512
    disable_metadata: bool = False  # leave the workflow out of saved files

    custom_nodes: bool = True  # load node packs
    whitelist_custom_nodes: list[str] = []  # loaded even if `custom_nodes` is off
    known_fingerprint: str | None = None  # of the definitions that the server has already
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
