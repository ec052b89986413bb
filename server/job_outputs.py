"""The outputs of a single job in the form in which /api/jobs shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from executor.job_summary import normal_item


def normalise(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a single job: names of 3D files become items, nulls are dropped."""
    return {
        node_id: {key: _normal_items(items) for key, items in ui.items()}
        if isinstance(ui, dict)
        else ui
        for node_id, ui in outputs.items()
    }


def _normal_items(items: Any) -> Any:
    if not isinstance(items, list):
        return items
    return [normal_item(item) for item in items if item is not None]
