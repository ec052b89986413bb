"""AVIF files of 10 bits or HDR, or that play so often: coded by SVT-AV1, with EXIF put in.

FFmpeg writes no metadata into them. An item for EXIF is added to the boxes of the file as ISO/IEC
23008-12 (HEIF, annex A) and ISO/IEC 14496-12 say.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from torch import Tensor

from nodes.encoder_threads import encode_frame
from nodes.film_colors import FilmColors
from nodes.saved_images import Metadata, exif
from nodes.video_encoding import picture_rate

_HIDDEN: Final = 1  # flag of an item that is not shown
_EXIF_MARK: Final = b"Exif\0\0"  # what Pillow begins EXIF data with, before the TIFF header


def write_deep_avif(
    images: Tensor,
    metadata: Metadata,
    crf: int,
    colors: FilmColors,
    path: Path,
    *,
    fps: float = 1.0,
    loops: int = 0,
) -> None:
    """Images [B, H, W, C] as one file, 4:2:0: still, or moving `loops` times, 0: without end.

    Odd sizes lose a row or column. Raises ValueError for images without a pixel then.
    """
    import av

    height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    if not (height and width):
        raise ValueError("an AVIF file of 10 bits takes images of at least 2 x 2 pixels")
    file = io.BytesIO()
    options = {"loop": str(loops)} if len(images) > 1 else {}
    with av.open(file, "w", format="avif", options=options) as container:
        stream: Any = container.add_stream("libsvtav1", rate=picture_rate("av1", fps))
        stream.width, stream.height, stream.pix_fmt = width, height, colors.pixel_format
        stream.bit_rate, stream.options = 0, {"crf": str(crf)}
        colors.mark(stream.codec_context)
        for image in images[:, :height, :width]:
            rgb = image[..., :3] if image.shape[-1] > 1 else image.expand(-1, -1, 3)
            container.mux(encode_frame(stream, colors.frame(rgb)))
        container.mux(stream.encode(None))
    path.write_bytes(with_exif(file.getvalue(), exif(metadata).tobytes()))


class _Box(NamedTuple):
    kind: bytes
    body: bytes
    start: int  # of the body in the file

    def packed(self) -> bytes:
        return struct.pack(">I4s", len(self.body) + 8, self.kind) + self.body


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    while start < end:
        size, kind = struct.unpack_from(">I4s", data, start)
        stop = end if size == 0 else start + size
        yield _Box(kind, data[start + 8 : stop], start + 8)
        start = stop


def with_exif(data: bytes, tags: bytes) -> bytes:
    """An AVIF file as FFmpeg writes it, with EXIF data for its picture."""
    boxes = list(_boxes(data, 0, len(data)))
    meta = next(box for box in boxes if box.kind == b"meta")
    inner = {box.kind: box for box in _boxes(data, meta.start + 4, meta.start + len(meta.body))}
    (primary,) = struct.unpack_from(">H", inner[b"pitm"].body, 4)
    item = 1 + max(_locations(inner[b"iloc"].body))
    payload = struct.pack(">I", len(_EXIF_MARK)) + tags

    def built(grown: int) -> bytes:
        """The box `meta` where it has grown by so much."""
        changed = {
            b"iinf": _with_entry(inner[b"iinf"], item),
            b"iloc": _with_location(inner[b"iloc"], grown, item, len(data) + grown + 8, payload),
        }
        reference = struct.pack(">I4sHHH", 14, b"cdsc", item, 1, primary)
        parts = [changed.get(kind, box).packed() for kind, box in inner.items()]
        parts.append(_Box(b"iref", bytes(4) + reference, 0).packed())
        return _Box(b"meta", meta.body[:4] + b"".join(parts), 0).packed()

    grown = len(built(0)) - len(meta.body) - 8
    parts = [
        built(grown) if box is meta else _shifted(box, meta.start, grown).packed() for box in boxes
    ]
    return b"".join(parts) + _Box(b"mdat", payload, 0).packed()


def _with_entry(box: _Box, item: int) -> _Box:
    """The list of items with one for EXIF."""
    (count,) = struct.unpack_from(">H", box.body, 4)
    entry = struct.pack(">IHH4sB", 2 << 24 | _HIDDEN, item, 0, b"Exif", 0)
    packed = _Box(b"infe", entry, 0).packed()
    return box._replace(body=box.body[:4] + struct.pack(">H", count + 1) + box.body[6:] + packed)


_ITEM: Final = struct.Struct(">HHHII")  # id, source, extents, offset, length


def _locations(body: bytes) -> dict[int, tuple[int, int]]:
    """Offset and length of each item, in a list of the form that FFmpeg writes."""
    version, sizes, count = struct.unpack_from(">BxxxHH", body)
    if version != 0 or sizes != 0x4400 or len(body) != 8 + count * _ITEM.size:
        raise ValueError("the list of this AVIF file's items has an unknown form")
    items = (_ITEM.unpack_from(body, 8 + i * _ITEM.size) for i in range(count))
    return {item: (offset, length) for item, _, _, offset, length in items}


def _with_location(box: _Box, grown: int, item: int, offset: int, payload: bytes) -> _Box:
    """The list of items' places, moved, with that of EXIF, which is at the end of the file."""
    places = {key: (at + grown, size) for key, (at, size) in _locations(box.body).items()}
    places[item] = (offset, len(payload))
    packed = b"".join(_ITEM.pack(key, 0, 1, at, size) for key, (at, size) in places.items())
    return box._replace(body=box.body[:6] + struct.pack(">H", len(places)) + packed)


def _shifted(box: _Box, meta: int, grown: int) -> _Box:
    """A box with the chunk offsets of moving pictures in it moved."""
    if box.kind == b"stco":
        (count,) = struct.unpack_from(">I", box.body, 4)
        offsets = struct.unpack_from(f">{count}I", box.body, 8)
        moved = struct.pack(f">{count}I", *(at + grown if at > meta else at for at in offsets))
        return box._replace(body=box.body[:8] + moved)
    if box.kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        inside = _boxes(box.body, 0, len(box.body))
        body = b"".join(_shifted(inner, meta, grown).packed() for inner in inside)
        return box._replace(body=body)
    return box
