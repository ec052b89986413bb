"""How much of a video or sound file may be decoded: small files can hold very long ones."""

from __future__ import annotations

from nodes.context import NodeSettings, is_in_call, surroundings


class MediaTooLarge(ValueError):
    """The pictures or samples of a file take more memory than may be used for them."""

    def __init__(self, name: str, most_bytes: int) -> None:
        super().__init__(
            f"what '{name}' holds takes more than the {most_bytes / 2**30:g} GB that the setting "
            "'max_media_memory' allows once it is decoded; use a shorter part of it"
        )


class Allowance:
    """What one file may take yet."""

    def __init__(self, name: str) -> None:
        settings = surroundings().settings if is_in_call() else NodeSettings()
        self._name = name
        self._most = settings.max_media_bytes
        self._taken = 0

    def take(self, count: int) -> None:
        """Bytes that are kept from now on; raises MediaTooLarge, and Interrupted."""
        self._taken += count
        if self._taken > self._most:
            raise MediaTooLarge(self._name, self._most)
        if is_in_call():
            surroundings().check_interrupted()
