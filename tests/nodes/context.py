"""A node context for calling nodes directly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from executor.folders import Folders
from models.memory import Policy
from nodes.context import (
    CURRENT,
    Interrupted,
    NodeContext,
    NodeSettings,
    PreviewSource,
    Services,
)


class RecordingReporter:
    """Remembers reports; interrupts once told to."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, float, float]] = []
        self.previews: list[PreviewSource | None] = []
        self.texts: list[tuple[str, str]] = []
        self.interrupted = False

    def report(
        self, node_id: str, value: float, total: float, preview: PreviewSource | None
    ) -> None:
        """Remember it."""
        self.reports.append((node_id, value, total))
        self.previews.append(preview)

    def text(self, node_id: str, text: str) -> None:
        """Remember it."""
        self.texts.append((node_id, text))

    def check_interrupted(self) -> None:
        """Raise if the test said so."""
        if self.interrupted:
            raise Interrupted


@contextmanager
def node_context(
    base: Path,
    *,
    settings: NodeSettings | None = None,
    policy: Policy | None = None,
    reporter: RecordingReporter | None = None,
) -> Iterator[Folders]:
    """The surroundings of node "1" over the folders of `base`, which are made."""
    folders = Folders.build(base)
    folders.make()
    context = NodeContext(
        prompt_id="p",
        node_id="1",
        list_index=0,
        services=Services(
            folders=folders, settings=settings or NodeSettings(), model_policy=policy
        ),
        reporter=reporter or RecordingReporter(),
    )
    token = CURRENT.set(context)
    try:
        yield folders
    finally:
        CURRENT.reset(token)
