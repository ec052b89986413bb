"""Where a node pack keeps its files for browsers."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

from executor.packs import Pack

log = logging.getLogger(__name__)


def web_folders(pack: Pack, module: ModuleType) -> dict[str, str]:
    """Name below /extensions -> folder: `WEB_DIRECTORY`, and `web` in the pack's pyproject.toml.

    Folders that are not there are left out.
    """
    root = pack.path if pack.is_folder else pack.path.parent
    named = {pack.name: getattr(module, "WEB_DIRECTORY", None)}
    if pack.is_folder:
        project = _project(root / "pyproject.toml")
        comfy = project.get("tool", {}).get("comfy", {})
        name = project.get("project", {}).get("name")
        if isinstance(comfy, dict) and isinstance(name, str) and comfy.get("web"):
            named[name] = comfy["web"]
    found: dict[str, str] = {}
    for name, relative in named.items():
        if not isinstance(relative, str) or not relative:
            continue
        folder = Path(root, relative).resolve()
        if folder.is_dir():
            found[name] = str(folder)
        else:
            log.warning("node pack '%s' has no folder '%s'", pack.name, relative)
    return found


def _project(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        log.warning("%s is not used: %s", file, error)
        return {}
    tables = ("tool", "project")
    return {key: content[key] for key in tables if isinstance(content.get(key), dict)}
