"""Progress that packs report, through the context of the node that runs."""

from __future__ import annotations

import logging
from typing import Any

from PIL import Image

from nodes.context import NodeContext, PreviewSource, current_context, is_in_call

log = logging.getLogger(__name__)


class Reports:
    """Where one bar reports to: fixed when it is made, so that it works from threads as well."""

    def __init__(self, node_id: str | None) -> None:
        self._context: NodeContext | None = current_context() if is_in_call() else None
        self._node_id = node_id

    def send(self, value: float, total: float, preview: Any) -> None:
        """Tell clients; raises Interrupted. Outside of nodes nobody is told."""
        context = self._context or (current_context() if is_in_call() else None)
        if context is None:
            return
        context.check_interrupted()
        node_id = context.node_id if self._node_id is None else str(self._node_id)
        try:
            context.reporter.report(node_id, value, total, preview_source(preview))
        except LookupError:
            log.debug("progress of a node '%s' that is not in the prompt", node_id)


def preview_source(preview: Any) -> PreviewSource | None:
    """A picture as packs hand it over: (format, picture, largest side), or a picture."""
    if isinstance(preview, tuple | list) and len(preview) >= 2:
        preview = preview[1]
    if not isinstance(preview, Image.Image):
        return None
    picture = preview
    return lambda: picture
