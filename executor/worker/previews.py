"""Preview frames: a picture shrunk to the preview size, as JPEG."""

from __future__ import annotations

import io

from nodes.context import PreviewSource

_QUALITY = 95


def encode_preview(source: PreviewSource, size: int) -> bytes | None:
    """The JPEG file, at most `size` pixels on the longer side; None if there is no picture."""
    picture = source()
    if picture is None:
        return None
    if max(picture.size) > size and not getattr(source, "full_size", False):
        picture = picture.copy()
        picture.thumbnail((size, size))
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
