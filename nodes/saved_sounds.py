"""Writing sounds, with the workflow inside."""

from __future__ import annotations

from nodes.saved_files import SaveTarget, Write, save_files
from nodes.saved_images import Metadata, as_text
from nodes.sound_files import Sound, encode_sound


def save_sounds(
    target: SaveTarget, audio: Sound, format: str, *, quality: str, metadata: Metadata
) -> list[dict[str, str]]:
    """Write a batch of sounds, one file each: flac, mp3, opus or wav; returns their entries.

    `quality` is that of mp3 (`V0`, `320k`, ...) and opus (`128k`, ...).
    """
    texts = {key: as_text(value) for key, value in metadata.items()}
    rate = int(audio["sample_rate"])
    files = (encode_sound(x, rate, format, quality, texts) for x in audio["waveform"])
    return save_files(target, map(_writer, files), format)


def _writer(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)
