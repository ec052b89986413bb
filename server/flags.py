"""The command line: one table of flags, ComfyUI's and our own, and how it is read.

A flag either sets settings, is accepted with a note because it means nothing here, or is refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from server.flag import VALUE, Flag, noted, refused, switch, value
from server.model_flags import MODELS

LIST_FEATURES: Final = "--list-feature-flags"


def _read_cache_ram(given: list[str]) -> Mapping[str, object]:
    """The second value of ComfyUI, for results that no queued graph uses, means nothing here."""
    return {"cache_mode": "ram", "cache_ram_headroom": given[0] if given else 4.0}


def _read_verbose(given: list[list[str]]) -> Mapping[str, object]:
    """Each occurrence is a level, or a level and a file that gets it."""
    levels = [words[0] if words else "DEBUG" for words in given if len(words) < 2]
    files = [":".join(words) for words in given if len(words) == 2]
    settings: dict[str, object] = {"log_level": levels[-1]} if levels else {}
    return settings | ({"log_files": files} if files else {})


NETWORK: Final = [
    Flag(
        name="--listen",
        text="addresses to listen on, separated by commas; alone: all",
        sets={"listen": VALUE},
        nargs="optional",
        bare="0.0.0.0,::",
        metavar="IP",
    ),
    value("--port", "port", "port to listen on (8188); 0 takes a free one", "N"),
    value("--tls-keyfile", "tls_keyfile", "private key, for https", "FILE"),
    value("--tls-certfile", "tls_certfile", "certificate, for https", "FILE"),
    value("--error-details", "error_details", "auto, always or never: tracebacks, paths", "WHEN"),
    value("--trusted-hosts", "trusted_hosts", "names that this server answers to", "NAMES"),
    switch("--allow-anonymous", "listen for others without API keys", allow_anonymous=True),
    switch("--require-keys", "refuse requests without an API key", require_keys=True),
    Flag(
        name="--enable-cors-header",
        text="let pages of this origin use the server; alone: of any",
        sets={"cors_origin": VALUE},
        nargs="optional",
        bare="*",
        metavar="ORIGIN",
    ),
    value("--max-upload-size", "max_upload_size", "largest request body in MB (100)", "MB"),
    value("--max-image-pixels", "max_image_pixels", "largest picture read, in MP (150)", "MP"),
    switch("--enable-compress-response-body", "gzip JSON and text", compress_responses=True),
    *(
        switch(name, "no foreign content in pages", disable_api_nodes=True)
        for name in ("--offline", "--disable-api-nodes")
    ),
    switch("--access-log", "log each request", access_log=True),
]

FOLDERS: Final = [
    value("--base-directory", "base_directory", "holds models, input, output, ...", "DIR"),
    value("--models-directory", "models_directory", "models", "DIR"),
    value("--output-directory", "output_directory", "results", "DIR"),
    value("--input-directory", "input_directory", "uploads", "DIR"),
    value("--temp-directory", "temp_directory", "DIR/temp is used, and emptied", "DIR"),
    value("--user-directory", "user_directory", "settings of users", "DIR"),
    value("--keys-file", "keys_file", "API keys", "FILE"),
    Flag(
        name="--extra-model-paths-config",
        text="YAML files of further model folders",
        sets={"extra_model_paths": VALUE},
        nargs="many",
        metavar="FILE",
        repeats=True,
    ),
    value("--front-end-root", "front_end_root", "folder of a static front end", "DIR"),
    refused(
        "--front-end-version",
        "Darkroom downloads no front end; install one and name its folder with --front-end-root",
    ),
    switch("--multi-user", "one storage per user", multi_user=True),
    value(
        "--feature-flag",
        "feature_flags",
        "add to what clients are told",
        "KEY[=VALUE]",
        repeats=True,
    ),
    value("--default-hashing-function", "upload_hash", "md5, sha1, sha256 or sha512", "NAME"),
]

JOBS: Final = [
    value("--database-url", "database_url", "where jobs are kept", "URL"),
    value("--job-attempts", "job_attempts", "starts of a job whose worker died (2)", "N"),
    value("--queue-limit", "queue_limit", "prompts that may wait and run (10000)", "N"),
    value("--history-limit", "history_limit", "finished jobs that are kept (10000)", "N"),
    switch("--high-ram", "as --cache-classic, unless another cache is named", cache_mode="classic"),
    switch("--cache-classic", "keep the last graph's results", "cache", cache_mode="classic"),
    Flag(
        name="--cache-lru",
        text="keep N results",
        sets={"cache_mode": "lru", "cache_lru_size": VALUE},
        nargs="one",
        metavar="N",
        group="cache",
    ),
    Flag(
        name="--cache-ram",
        text="keep results as long as this much RAM is free (4)",
        read=_read_cache_ram,
        nargs="any",
        most=2,
        metavar="GB",
        group="cache",
    ),
    switch("--cache-none", "keep no results", "cache", cache_mode="none"),
    value("--preview-method", "preview_method", "none, auto, latent2rgb or taesd", "METHOD"),
    value("--preview-size", "preview_size", "longest side of previews (512)", "N"),
    switch("--disable-metadata", "write no workflow into files", disable_metadata=True),
    switch("--date-based-output", "save into subfolders by date", date_based_output=True),
    value("--date-output-format", "date_output_format", "name of those (%Y-%m-%d)", "FORMAT"),
    value("--disabled-nodes-config", "disabled_nodes", "YAML list of nodes left out", "FILE"),
    switch("--disable-all-custom-nodes", "load no packs", disable_custom_nodes=True),
    Flag(
        name="--whitelist-custom-nodes",
        text="packs that are loaded all the same",
        sets={"whitelist_custom_nodes": VALUE},
        nargs="many",
        metavar="NAME",
    ),
]

WORKERS: Final = [
    value("--workers", "workers", "worker processes (1)", "N"),
    value("--cuda-device", "cuda_device", "use only these GPUs, 0,1 or all", "N"),
    value("--default-device", "default_device", "use this GPU first", "N"),
]

LOGGING: Final = [
    Flag(
        name="--verbose",
        text="least severity that is logged (INFO; alone: DEBUG), or logged to a file",
        read=_read_verbose,
        nargs="any",
        most=2,
        metavar="LEVEL FILE",
        repeats=True,
    ),
    value("--log-format", "log_format", "text or json", "FORMAT"),
    switch("--log-stdout", "log to standard output", log_stdout=True),
    switch("--dont-print-server", "log warnings and errors only", quiet=True),
    switch("--quick-test-for-ci", "load all nodes, then end", quick_test=True),
]

_NO_HARDWARE: Final = "Darkroom runs on CUDA or the CPU only"

IGNORED: Final = [
    *(
        noted(name)
        for name in (
            "--auto-launch",
            "--disable-auto-launch",
            "--windows-standalone-build",
            "--disable-async-offload",
            "--disable-smart-memory",
            "--disable-pinned-memory",
            "--force-non-blocking",
            "--disable-mmap",
            "--mmap-torch-files",
            "--force-channels-last",
            "--supports-fp8-compute",
            "--enable-manager",
            "--disable-manager-ui",
            "--enable-manager-legacy-ui",
            "--disable-ipex-optimize",
            "--disable-partner-nodes",
            "--enable-assets",
            "--disable-assets",
            "--enable-asset-hashing",
            "--enable-dynamic-vram",
            "--disable-dynamic-vram",
            "--fast-disk",
            "--disable-fast-disk",
            "--disable-nvml-pressure",
            "--fp16-intermediates",
            "--enable-triton-backend",
            "--disable-triton-backend",
            "--disable-cuda-graphs",
            "--disable-comfy-compiler",
            "--assert-graph-breaks",
        )
    ),
    noted("--vram-headroom", "one"),
    noted("--debug-hang", "optional"),
    noted("--async-offload", "optional"),
    noted("--comfy-api-base", "one"),
    *(noted(name, group="malloc") for name in ("--cuda-malloc", "--disable-cuda-malloc")),
    refused("--directml", _NO_HARDWARE),
    refused("--oneapi-device-selector", _NO_HARDWARE, "one"),
]

GROUPS: Final[Mapping[str, Sequence[Flag]]] = {
    "network": NETWORK,
    "folders": FOLDERS,
    "jobs": JOBS,
    "workers": WORKERS,
    "models": MODELS,
    "logging": LOGGING,
    "for compatibility": IGNORED,
}
FLAGS: Final = [flag for flags in GROUPS.values() for flag in flags]


@dataclass(frozen=True, kw_only=True)
class ParsedFlags:
    """What a command line says."""

    settings: Mapping[str, object]  # setting -> raw value
    config: str | None  # --config
    noted: tuple[str, ...]  # flags that were given but mean nothing here
    lists_features: bool = False  # --list-feature-flags


_NARGS: Final[Mapping[str, str | None]] = {
    "one": None,
    "optional": "?",
    "many": "+",
    "any": "*",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the whole table, and what is no setting, to a parser."""
    parser.add_argument(
        LIST_FEATURES, action="store_true", help="print the known feature flags as JSON, then end"
    )
    add_groups(parser, GROUPS)


def add_groups(parser: argparse.ArgumentParser, groups: Iterable[str]) -> None:
    """Add groups of the table, and `--config`, to a parser."""
    parser.add_argument("--config", metavar="FILE", help="settings file (darkroom.toml)")
    exclusive: dict[str, argparse._MutuallyExclusiveGroup] = {}
    for title in groups:
        flags = GROUPS[title]
        section = parser.add_argument_group(title)
        for flag in flags:
            target: argparse._ActionsContainer = section
            if flag.group is not None:
                if flag.group not in exclusive:
                    exclusive[flag.group] = section.add_mutually_exclusive_group()
                target = exclusive[flag.group]
            target.add_argument(flag.name, **_argument(flag))


def _argument(flag: Flag) -> dict[str, Any]:
    options: dict[str, Any] = {"dest": flag.name, "default": argparse.SUPPRESS}
    options["help"] = flag.text.replace("%", "%%")
    if flag.nargs == "none":
        return options | {"action": "store_true"}
    options |= {"nargs": _NARGS[flag.nargs], "metavar": flag.metavar or "VALUE"}
    if flag.nargs == "optional":
        options["const"] = flag.bare
    if flag.repeats:
        options["action"] = "extend" if flag.nargs == "many" else "append"
    return options


def read_flags(parser: argparse.ArgumentParser, namespace: argparse.Namespace) -> ParsedFlags:
    """Turn a namespace made by `add_flags` into settings; a refused flag ends the program."""
    given = vars(namespace)
    settings: dict[str, object] = {}
    noted: list[str] = []
    for flag in FLAGS:
        if flag.name not in given:
            continue
        if flag.effect == "refused":
            _refuse(parser, flag)
        if flag.effect == "noted":
            noted.append(flag.name)
        _check_number(parser, flag, given[flag.name])
        for setting, stated in flag.sets.items():
            settings[setting] = given[flag.name] if stated is VALUE else stated
        if flag.read is not None:
            settings |= flag.read(given[flag.name])
    return ParsedFlags(
        settings=settings,
        config=given.get("config"),
        noted=tuple(noted),
        lists_features=given.get("list_feature_flags", False),
    )


def _check_number(parser: argparse.ArgumentParser, flag: Flag, given: Any) -> None:
    occurrences = given if flag.repeats else [given]
    if flag.most is not None and any(len(words) > flag.most for words in occurrences):
        parser.error(f"argument {flag.name}: expected at most {flag.most} values")


def _refuse(parser: argparse.ArgumentParser, flag: Flag) -> NoReturn:
    parser.error(f"{flag.name} is not supported: {flag.text}")
