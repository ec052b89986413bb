"""How large pictures may get that somebody else's numbers make."""

from __future__ import annotations

from nodes.context import NodeSettings

_BYTES_A_VALUE = 4  # of IMAGE: float32


def check_size(
    settings: NodeSettings, width: int, height: int, count: int, *, channels: int = 3
) -> None:
    """Raises ValueError for a picture, or a batch of so many, that takes more than is allowed."""
    if width * height > settings.max_image_pixels:
        raise ValueError(
            f"a picture of {width} x {height} has more pixels than the setting 'max_image_pixels' "
            "allows"
        )
    taken = width * height * count * channels * _BYTES_A_VALUE
    if taken > settings.max_media_bytes:
        raise ValueError(
            f"{count} pictures of {width} x {height} take {taken / 2**30:.1f} GB, more than the "
            "setting 'max_media_memory' allows"
        )
