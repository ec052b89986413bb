"""Versions of installed packages, read from their metadata: importing torch would take seconds."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata
from typing import Final

# The version of the API that clients find here; some of them change their behaviour by it.
API_VERSION: Final = "0.8.0"


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

    @classmethod
    def read(cls) -> Versions:
        """Takes some ms: call once."""
        return cls(
            python=sys.version,
            torch=installed("torch"),
            front_end=installed("comfyui-frontend-package"),
            templates=installed("comfyui-workflow-templates"),
        )
