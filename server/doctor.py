"""`darkroom doctor`: says whether this installation can draw, and where it looks for things."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from server.settings import Settings
from server.versions import installed

_PACKAGES: Final = ("torch", "diffusers", "transformers", "safetensors", "aiohttp", "sqlalchemy")
_IMPORT_WAIT_S: Final = 120
_ENOUGH_DISK: Final = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report."""

    is_good: bool
    text: str


def examine(settings: Settings) -> int:
    """Print findings; 0 if nothing is wrong."""
    findings = [finding for check in _CHECKS for finding in check(settings)]
    for finding in findings:
        print(f"[{' ok ' if finding.is_good else 'FAIL'}] {finding.text}")
    return 0 if all(finding.is_good for finding in findings) else 1


def _python(_settings: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(is_good=sys.version_info >= (3, 11), text=f"Python {version} (3.11 or newer)")


def _packages(_settings: Settings) -> Iterator[Finding]:
    for package in _PACKAGES:
        version = installed(package)
        yield Finding(is_good=version is not None, text=f"{package} {version or 'is missing'}")


def _device(settings: Settings) -> Iterator[Finding]:
    """In a process of its own: this one stays free of torch."""
    question = (
        "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU')"
    )
    try:
        answer = subprocess.run(
            [sys.executable, "-c", question],
            capture_output=True,
            text=True,
            timeout=_IMPORT_WAIT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding(is_good=False, text=f"torch cannot be imported: {error}")
        return
    device = "CPU (by --cpu)" if settings.cpu else answer.stdout.strip()
    yield Finding(is_good=True, text=f"device: {device}")


def _folders(settings: Settings) -> Iterator[Finding]:
    from server.locations import make_folders

    try:
        folders = make_folders(settings, empty_temp=False)
    except Exception as error:
        yield Finding(is_good=False, text=f"folders: {error}")
        return
    yield Finding(is_good=True, text=f"base directory: {folders.base}")
    yield Finding(is_good=True, text=f"pictures are saved in: {folders.output}")
    free = shutil.disk_usage(folders.output).free
    yield Finding(is_good=free >= _ENOUGH_DISK, text=f"free disk: {free / (1 << 30):.1f} GB")
    checkpoints = folders.filename_list("checkpoints")
    listed = ", ".join(checkpoints[:5]) or "none; put one into models/checkpoints"
    yield Finding(is_good=bool(checkpoints), text=f"checkpoints ({len(checkpoints)}): {listed}")


def _port(settings: Settings) -> Iterator[Finding]:
    for host in settings.listen:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, settings.port))
            except OSError as error:
                reason = f"{host} port {settings.port} cannot be used: {error.strerror}"
                yield Finding(is_good=False, text=reason)
            else:
                yield Finding(is_good=True, text=f"{host} port {settings.port} is free")


_CHECKS: Final[list[Callable[[Settings], Iterator[Finding]]]] = [
    _python,
    _packages,
    _device,
    _folders,
    _port,
]
