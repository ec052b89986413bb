"""All configuration in one place: flags > DARKROOM_* variables > darkroom.toml > defaults.

Nothing else in the server reads the environment or the command line.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from server.model_flags import FAST_FEATURES
from server.origin import is_loopback
from server.setting_values import LOG_LEVELS, LogFile
from server.setting_values import attention as _attention
from server.setting_values import boolean as _boolean
from server.setting_values import date_format as _date_format
from server.setting_values import devices as _devices
from server.setting_values import fetch_host as _fetch_host
from server.setting_values import host as _host
from server.setting_values import integer as _integer
from server.setting_values import list_of as _list_of
from server.setting_values import log_file as _log_file
from server.setting_values import node_names as _node_names
from server.setting_values import number as _number
from server.setting_values import one_of as _one_of
from server.setting_values import path as _path
from server.setting_values import positive as _positive
from server.setting_values import size as _size
from server.setting_values import text as _text

# ruff: noqa: RUF009  (`_setting` makes a field with an immutable default; ruff cannot see that)

T = TypeVar("T")

ENV_PREFIX: Final = "DARKROOM_"
CONFIG_NAME: Final = "darkroom.toml"
MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB


class SettingError(Exception):
    """A setting has a value that cannot be used."""

    def __init__(self, name: str, value: object, reason: str, source: str) -> None:
        super().__init__(f"the setting '{name}' cannot be {value!r} ({source}): {reason}")
        self.name = name
        self.source = source


def _setting(default: T, parse: Callable[[object], object], text: str) -> T:
    field: T = dataclasses.field(default=default, metadata={"parse": parse, "doc": text})
    return field


_paths = _list_of(_path, os.pathsep)
_words = _list_of(_text, ",")
_precision = _one_of("auto", "fp32", "fp16", "bf16")
_stored_precision = _one_of("auto", "fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration of one server. The table in docs/settings.md says the same in prose."""

    # network
    listen: tuple[str, ...] = _setting(("127.0.0.1",), _words, "addresses to listen on")
    port: int = _setting(8188, _integer(0, 65535), "port; 0 takes any free one")
    tls_keyfile: Path | None = _setting(None, _path, "private key, for https")
    tls_certfile: Path | None = _setting(None, _path, "certificate, for https")
    trusted_hosts: tuple[str, ...] = _setting(
        (), _list_of(_host, ","), "host names of this server, as a reverse proxy passes them on"
    )
    allow_anonymous: bool = _setting(
        False, _boolean, "listen for others although there are no API keys: everybody may do all"
    )
    require_keys: bool = _setting(False, _boolean, "refuse requests without a key from the start")
    keys_file: Path | None = _setting(
        None, _path, "where API keys are kept; default: darkroom-keys.json among users' settings"
    )
    cors_origin: str = _setting("", _text, "origin that pages may come from, `*` for any")
    max_upload_size: float = _setting(100.0, _number, "largest request body, in MB")
    max_json_depth: int = _setting(
        256, _integer(1, 400), "how often lists and objects in a JSON body may be nested"
    )
    max_image_pixels: float = _setting(
        150.0,
        _positive,
        "largest picture that is decoded, in millions of pixels, all frames together",
    )
    max_media_memory: float = _setting(
        16.0, _positive, "GB that a video's pictures, or a sound, may take once decoded"
    )
    max_shader_time: float = _setting(
        120.0, _positive, "seconds that a shader may take for one picture"
    )
    fetch_hosts: tuple[str, ...] = _setting(
        (), _list_of(_fetch_host, ","), "hosts that nodes may fetch files from, by https"
    )
    fetch_private: bool = _setting(
        False, _boolean, "these hosts may have addresses of private networks"
    )
    max_fetch_size: float = _setting(50.0, _positive, "largest file that is fetched, in MB")
    fetch_timeout: float = _setting(30.0, _positive, "seconds that fetching a file may take")
    error_details: str = _setting(
        "auto",
        _one_of("auto", "always", "never"),
        "tell clients tracebacks and paths of errors; auto: only if none but this machine can ask",
    )
    idle_timeout: float = _setting(
        75.0, _positive, "seconds that a connection may take to send the next request's head"
    )
    body_timeout: float = _setting(
        60.0, _positive, "seconds after which a body of which nothing more comes is given up"
    )
    body_min_speed: float = _setting(
        1.0, _number, "KB a second that must come of a body, over `body_timeout`; 0: anything"
    )
    compress_responses: bool = _setting(False, _boolean, "gzip JSON and text answers")
    disable_api_nodes: bool = _setting(
        False,
        _boolean,
        "forbid pages to load foreign content; ask no model hub for what is missing",
    )
    access_log: bool = _setting(False, _boolean, "log each request")
    websocket_buffer: float = _setting(
        32.0, _number, "MB that a client may leave unread on its WebSocket before it is dropped"
    )
    websocket_heartbeat: float = _setting(
        30.0, _number, "seconds between pings that find dead clients; 0: none"
    )

    websocket_limit: int = _setting(1024, _integer(1), "WebSockets open at the same time")

    # folders
    base_directory: Path = _setting(
        Path("~/darkroom").expanduser(), _path, "holds models, input, output, temp, user, ..."
    )
    models_directory: Path | None = _setting(None, _path, "models; default: base/models")
    output_directory: Path | None = _setting(None, _path, "results; default: base/output")
    input_directory: Path | None = _setting(None, _path, "uploads; default: base/input")
    temp_directory: Path | None = _setting(None, _path, "its subfolder temp/ holds previews")
    user_directory: Path | None = _setting(None, _path, "settings of users; default: base/user")
    extra_model_paths: tuple[Path, ...] = _setting((), _paths, "YAML files of model folders")
    feature_flags: tuple[str, ...] = _setting(
        (), _words, "further entries of GET /features, `KEY` or `KEY=VALUE`"
    )
    front_end_root: Path | None = _setting(None, _path, "static front end served at /")
    multi_user: bool = _setting(
        False, _boolean, "one storage per user, whom the header `comfy-user` names"
    )
    upload_hash: str = _setting(
        "sha256", _one_of("md5", "sha1", "sha256", "sha512"), "tells whether two uploads are equal"
    )

    # files
    output_max_files: int = _setting(0, _integer(0), "files kept in output; 0: any number")
    output_max_days: float = _setting(0.0, _number, "days that they are kept; 0: for ever")
    output_max_size: float = _setting(0.0, _number, "MB that they may take; 0: any")
    input_max_files: int = _setting(0, _integer(0), "files kept in input; 0: any number")
    input_max_days: float = _setting(0.0, _number, "days that they are kept; 0: for ever")
    input_max_size: float = _setting(0.0, _number, "MB that they may take; 0: any")
    temp_max_files: int = _setting(0, _integer(0), "files kept in temp; 0: any number")
    temp_max_days: float = _setting(0.0, _number, "days that they are kept; 0: until the start")
    temp_max_size: float = _setting(0.0, _number, "MB that they may take; 0: any")

    # jobs
    database_url: str = _setting("", _text, "where jobs are kept; default: base/user/darkroom.db")
    history_limit: int = _setting(10_000, _integer(1), "finished jobs kept; the oldest goes first")
    history_days: float = _setting(
        0.0, _number, "days that finished jobs are kept; looked at when one ends; 0: for ever"
    )
    history_max_size: float = _setting(
        0.0, _number, "MB that finished jobs may take in the database; 0: any"
    )
    job_attempts: int = _setting(2, _integer(1), "how often a job whose worker died is started")
    interrupt_grace: float = _setting(
        10.0, _number, "seconds that an interrupted job may go on before its worker is replaced"
    )

    queue_limit: int = _setting(
        10_000, _integer(1), "prompts that may wait and run; more are refused with status 429"
    )
    max_graph_nodes: int = _setting(100_000, _integer(1), "nodes that a graph may have")

    # workers
    workers: int = _setting(1, _integer(1, 64), "worker processes")
    startup_wait: float = _setting(
        120.0, _number, "seconds that requests wait for the first worker to publish its nodes"
    )
    check_timeout: float = _setting(
        10.0, _number, "seconds that a node class may take to check its inputs (VALIDATE_INPUTS)"
    )
    stop_wait: float = _setting(2.0, _number, "seconds that workers have to end by themselves")
    worker_silence: float = _setting(
        60.0, _number, "seconds without a sign of life after which a worker is replaced; 0: never"
    )
    worker_memory_limit: float = _setting(
        0.0, _number, "GB of RAM over which a worker's allocations fail; 0: no limit"
    )
    worker_max_prompts: int = _setting(
        0, _integer(0), "prompts after which a worker is replaced; 0: never"
    )
    worker_max_memory: float = _setting(
        0.0, _number, "GB of RAM with which a worker is replaced after a prompt; 0: any"
    )
    cpu: bool = _setting(False, _boolean, "use no GPU")
    cuda_device: tuple[int, ...] = _setting(
        (), _devices, "use only these GPUs, e.g. `0` or `0,1`; `all`: any"
    )
    default_device: int | None = _setting(None, _integer(0), "use this GPU first")
    cache_mode: str = _setting(
        "classic", _one_of("classic", "lru", "ram", "none"), "which node results are kept"
    )
    cache_lru_size: int = _setting(0, _integer(0), "results kept with `lru`; 0 means classic")
    cache_ram_headroom: float = _setting(4.0, _number, "GB of RAM left free with `ram`")
    preview_method: str = _setting(
        "none", _one_of("none", "auto", "latent2rgb", "taesd"), "pictures shown while sampling"
    )
    preview_size: int = _setting(512, _integer(16, 16384), "longest side of a preview, in pixels")
    disable_metadata: bool = _setting(False, _boolean, "write no workflow into saved files")
    pending_saves: int = _setting(
        4, _integer(0, 256), "files that may wait to be written while the next nodes run"
    )
    date_based_output: bool = _setting(False, _boolean, "save into a subfolder for each date")
    date_output_format: str = _setting("%Y-%m-%d", _date_format, "name of that subfolder")
    disabled_nodes: tuple[str, ...] = _setting(
        (), _node_names, "YAML file with a list of node ids that are not registered"
    )
    disable_custom_nodes: bool = _setting(False, _boolean, "load no node packs")
    whitelist_custom_nodes: tuple[str, ...] = _setting(
        (), _words, "packs that are loaded although packs are disabled"
    )
    pack_import_timeout: float = _setting(
        120.0, _number, "seconds that a node pack may take to import before it is left out; 0: any"
    )
    prompt_hook_timeout: float = _setting(
        10.0, _number, "seconds that node packs may take to look at a prompt before it is checked"
    )
    vram_mode: str = _setting(
        "normal",
        _one_of("gpu-only", "high", "normal", "low", "none"),
        "how much of the models stays in GPU memory",
    )
    reserve_vram: float = _setting(0.0, _number, "GB of GPU memory that models leave free")
    max_vram: float = _setting(
        0.0, _size, "GPU memory that a worker uses at most, as `8G`; 0: all there is"
    )
    max_ram: float = _setting(
        0.0, _size, "RAM that the weights of a worker take at most, as `8G`; 0: what is free"
    )
    precision: str = _setting("auto", _precision, "of all models")
    unet_precision: str = _setting("auto", _stored_precision, "of diffusion models")
    vae_precision: str = _setting("auto", _precision, "of VAEs")
    text_encoder_precision: str = _setting("auto", _stored_precision, "of text encoders")
    cpu_vae: bool = _setting(False, _boolean, "run VAEs on the CPU")
    attention: str = _setting(
        "auto",
        _attention,
        "what computes attention: auto, pytorch, split, sage, flash or xformers",
    )
    upcast_attention: bool = _setting(False, _boolean, "compute attention in fp32")
    deterministic: bool = _setting(False, _boolean, "the same result in every run, if slower")
    fast: tuple[str, ...] = _setting(
        (),
        _list_of(_one_of(*FAST_FEATURES), ","),
        "what makes it faster and less exact: fp16_accumulation, autotune",
    )

    # the process
    log_level: str = _setting("INFO", _one_of(*LOG_LEVELS), "the least severity that is logged")
    log_files: tuple[LogFile, ...] = _setting(
        (), _list_of(_log_file, ","), "files that get log lines too, `LEVEL:FILE`"
    )
    log_format: str = _setting("text", _one_of("text", "json"), "`json`: one object a line")
    log_stdout: bool = _setting(False, _boolean, "log to standard output, not standard error")
    log_lines: int = _setting(1000, _integer(1), "log lines kept for GET /internal/logs")
    quiet: bool = _setting(False, _boolean, "log warnings and errors only")
    quick_test: bool = _setting(False, _boolean, "load all nodes, then end")
    argv: tuple[str, ...] = ()  # the command line, shown in /system_stats; not a setting

    @property
    def max_upload_bytes(self) -> int:
        """`max_upload_size` in bytes."""
        return int(self.max_upload_size * MIB)

    @property
    def listens_for_others(self) -> bool:
        """Whether other machines can reach the port."""
        return not all(map(is_loopback, self.listen))

    @property
    def hides_error_details(self) -> bool:
        """Whether clients are told neither tracebacks nor paths."""
        if self.error_details != "auto":
            return self.error_details == "never"
        return bool(self.trusted_hosts) or self.listens_for_others

    @property
    def most_pixels(self) -> int:
        """`max_image_pixels` as a number of pixels."""
        return int(self.max_image_pixels * 1_000_000)


PARSERS: Final[Mapping[str, Callable[[object], Any]]] = {
    field.name: field.metadata["parse"]
    for field in dataclasses.fields(Settings)
    if "parse" in field.metadata
}


def build_settings(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    config: Path | None = None,
    *,
    argv: tuple[str, ...] = (),
) -> Settings:
    """Settings from parsed flags, the environment and a TOML file; raises SettingError.

    Without `config` the file is the one that DARKROOM_CONFIG names, else `darkroom.toml` in the
    current folder if there is one.
    """
    values: dict[str, Any] = {}
    file = config or _find_config(environ)
    if file is not None:
        for name, value in _read_config(file).items():
            values[name] = _parse(name, value, str(file))
    for name in PARSERS:
        variable = ENV_PREFIX + name.upper()
        if environ.get(variable):
            values[name] = _parse(name, environ[variable], variable)
    for name, value in flags.items():
        values[name] = _parse(name, value, "command line")
    return Settings(**values, argv=argv)


def _find_config(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(ENV_PREFIX + "CONFIG")
    if named:
        return Path(named)
    default = Path(CONFIG_NAME)
    return default if default.is_file() else None


def _read_config(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError("config", str(file), str(error), "file") from error


def _parse(name: str, value: object, source: str) -> Any:
    try:
        parse = PARSERS[name]
    except KeyError:
        raise SettingError(name, value, "there is no such setting", source) from None
    try:
        return parse(value)
    except ValueError as error:
        raise SettingError(name, value, str(error), source) from None
