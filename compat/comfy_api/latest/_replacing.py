"""Classes of a pack that take the place of older ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from executor.node_replacement import FROM_PACKS, read_replacement


class NodeReplace:
    """How a node of an old class becomes one of a new class."""

    def __init__(
        self,
        new_node_id: str,
        old_node_id: str,
        old_widget_ids: Sequence[str] | None = None,
        input_mapping: Sequence[Mapping[str, Any]] | None = None,
        output_mapping: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.new_node_id = new_node_id
        self.old_node_id = old_node_id
        self.old_widget_ids = old_widget_ids
        self.input_mapping = input_mapping
        self.output_mapping = output_mapping

    def as_dict(self) -> dict[str, Any]:
        """As in GET /node_replacements."""
        return dict(vars(self))


def register(replacement: NodeReplace) -> None:
    """Announce a replacement; the same two classes a second time are ignored. Raises ValueError."""
    FROM_PACKS.register(read_replacement(replacement.as_dict()))
