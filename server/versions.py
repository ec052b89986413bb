"""Versions of installed packages, read from their metadata: importing torch would take seconds."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

# The version of the API that clients find here; some of them change their behaviour by it.
API_VERSION: Final = "0.8.0"

# Packages of the web front end whose versions clients ask for.
COMFY_PACKAGES: Final = (
    "comfyui-frontend-package",
    "comfyui-workflow-templates",
    "comfyui-embedded-docs",
)

_ENVIRONMENT_NAME: Final = ".comfy_environment"
_LONGEST_ENVIRONMENT: Final = 128


def installed(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True, kw_only=True)
class Versions:
    """What /system_stats tells of the installation."""

    python: str
    torch: str | None
    front_end: str | None
    templates: str | None
    comfy: dict[str, str]  # of COMFY_PACKAGES, those that are installed

    @classmethod
    def read(cls) -> Versions:
        """Takes some ms: call once."""
        comfy = {name: version for name in COMFY_PACKAGES if (version := installed(name))}
        return cls(
            python=sys.version,
            torch=installed("torch"),
            front_end=comfy.get("comfyui-frontend-package"),
            templates=comfy.get("comfyui-workflow-templates"),
            comfy=comfy,
        )


def deploy_environment(base: Path) -> str:
    """How this installation came to be, as who packaged it wrote into the base folder."""
    try:
        with (base / _ENVIRONMENT_NAME).open(encoding="ascii", errors="replace") as file:
            line = file.readline(4 * _LONGEST_ENVIRONMENT)
    except OSError:
        line = ""
    text = "".join(c for c in line if c.isascii() and c.isprintable()).strip()
    return text[:_LONGEST_ENVIRONMENT] or "local-git"
