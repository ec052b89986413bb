"""Preview frames: a picture shrunk to the preview size, as JPEG unless it is to stay as it is."""

from __future__ import annotations

import io

from nodes.context import PreviewSource

_QUALITY = 95


def is_result(source: PreviewSource | None) -> bool:
    """Whether the picture is one that clients wait for: it is sent without loss, each of them."""
    return bool(getattr(source, "lossless", False))


def encode_preview(source: PreviewSource, size: int) -> tuple[bytes, str] | None:
    """The file, at most `size` pixels on the longer side, and its type; None: no picture."""
    picture = source()
    if picture is None:
        return None
    if max(picture.size) > size and not getattr(source, "full_size", False):
        picture = picture.copy()
        picture.thumbnail((size, size))
    buffer = io.BytesIO()
    if is_result(source):
        picture.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue(), "image/png"
    picture.convert("RGB").save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue(), "image/jpeg"
