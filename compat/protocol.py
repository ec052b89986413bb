"""Numbers of the binary messages on the WebSocket."""

from __future__ import annotations


class BinaryEventTypes:
    """The first four bytes of a binary message."""

    PREVIEW_IMAGE = 1
    UNENCODED_PREVIEW_IMAGE = 2  # never sent: `PromptServer.send_sync` encodes the picture
    TEXT = 3
    PREVIEW_IMAGE_WITH_METADATA = 4
