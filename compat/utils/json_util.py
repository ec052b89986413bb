"""ComfyUI's `utils.json_util`: merging of JSON values."""

from __future__ import annotations

from typing import Any


def merge_json_recursive(base: Any, update: Any) -> Any:
    """Objects are merged, lists joined; of other values the update wins. Changes `base`."""
    if isinstance(base, dict) and isinstance(update, dict):
        for key, value in update.items():
            base[key] = merge_json_recursive(base[key], value) if key in base else value
        return base
    if isinstance(base, list) and isinstance(update, list):
        base.extend(update)
        return base
    return update
