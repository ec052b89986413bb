"""Progress of the running prompt, as packs report it past the node API."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypedDict

from comfy_api.latest._api import set_progress

from nodes.context import current_context


class NodeState(Enum):
    """How far a node is."""

    Pending = "pending"
    Running = "running"
    Finished = "finished"
    Error = "error"


class NodeProgressState(TypedDict):
    """One node in a `progress_state` message."""

    state: NodeState
    value: float
    max: float


class ProgressHandler:
    """Something that hears of progress."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.enabled = True


class ProgressRegistry:
    """The progress of one prompt."""

    def __init__(self, prompt_id: str) -> None:
        self.prompt_id = prompt_id

    def update_progress(
        self, node_id: str, value: float, max_value: float, image: Any = None
    ) -> None:
        """Report progress of a node; `image` is a picture, or (format, picture, size limit)."""
        picture = image[1] if isinstance(image, tuple) else image
        set_progress(value, max_value, node_id, picture)

    def start_progress(self, node_id: str) -> None:
        """A node starts; the engine says so itself."""

    def finish_progress(self, node_id: str) -> None:
        """A node is done; the engine says so itself."""


def get_progress_state() -> ProgressRegistry:
    """The progress of the running prompt."""
    try:
        return ProgressRegistry(current_context().prompt_id)
    except LookupError:
        raise RuntimeError("no prompt is running here") from None


def add_progress_handler(handler: ProgressHandler) -> None:
    """Not possible yet."""
    raise NotImplementedError(
        "comfy_execution.progress.add_progress_handler: Darkroom sends progress to clients only"
    )


__all__ = [
    "NodeProgressState",
    "NodeState",
    "ProgressHandler",
    "ProgressRegistry",
    "add_progress_handler",
    "get_progress_state",
]
