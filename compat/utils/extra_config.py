"""ComfyUI's `utils.extra_config`: YAML files of further model folders."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from executor.extra_paths import read_extra_paths


def load_extra_path_config(yaml_path: str) -> None:
    """Search the folders that a file names as well."""
    for extra in read_extra_paths(Path(yaml_path)):
        folder_paths.add_model_folder_path(extra.kind, str(extra.path), extra.is_default)
