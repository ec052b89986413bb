"""Films made of the streams of others, without coding their pictures anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from nodes.context import check_interrupted
from nodes.film_forms import FilmForm, codec_of
from nodes.sound_files import Sound
from nodes.video_encoding import add_sound, film_file


def copy_film(source: Any, target: Any, form: FilmForm, metadata: Mapping[str, Any] | None) -> None:
    """Write the first pictures and sound of an open file as they are coded.

    What the file says of itself goes along, under what is new. The container holds both streams.
    """
    with film_file(target, form, {**source.metadata, **(metadata or {})}) as container:
        kept = [*source.streams.video[:1], *source.streams.audio[:1]]
        copies = {stream.index: _copy_of(stream, container) for stream in kept}
        for packet in _packets(source, kept):
            packet.stream = copies[packet.stream.index]
            container.mux(packet)


def join_films(
    sources: Sequence[Any],
    sound: Sound | None,
    target: Any,
    form: FilmForm,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write the pictures of open files that are coded alike one after the other, and a sound."""
    with film_file(target, form, metadata or {}) as container:
        copy = _copy_of(sources[0].streams.video[0], container)
        finish = add_sound(container, sound, form)
        start = Fraction(0)
        for source in sources:
            end = start
            stream = source.streams.video[0]
            first = (stream.start_time or 0) * stream.time_base
            for packet in _packets(source, [stream]):
                shift = round((start - first) / packet.time_base)
                packet.pts = (packet.dts if packet.pts is None else packet.pts) + shift
                packet.dts += shift
                end = max(end, (packet.pts + packet.duration) * packet.time_base)
                packet.stream = copy
                container.mux(packet)
            start = end
        finish()


def are_alike(sources: Sequence[Any]) -> bool:
    """Whether one decoder can read the pictures of open files one after the other."""
    return len({_coding(source.streams.video[0]) for source in sources}) == 1


def _coding(stream: Any) -> tuple[Any, ...]:
    codec = stream.codec_context
    return (
        codec_of(stream),
        *(codec.width, codec.height, codec.pix_fmt, codec.profile),
        *(codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range),
        *(stream.average_rate, bytes(codec.extradata or b"")),
    )


def _copy_of(stream: Any, container: Any) -> Any:
    """A stream of a file that is written, for packets of another."""
    # Not every decoder has an encoder of its name, which PyAV would look for.
    return container.add_stream_from_template(stream, opaque=True)


def _packets(source: Any, streams: Sequence[Any]) -> Iterator[Any]:
    """The packets of open streams with the times at which they are to be decoded.

    Matroska leaves out those of the first ones, which come before the beginning.
    """
    early: dict[int, list[Any]] = {}
    for packet in source.demux(streams):
        check_interrupted()
        if not packet.size:
            continue  # the last one
        waiting = early.setdefault(packet.stream.index, [])
        if packet.dts is None:
            waiting.append(packet)
            continue
        yield from _dated(waiting, packet)
        waiting.clear()
        yield packet
    for waiting in early.values():
        for packet in waiting:
            packet.dts = packet.pts
            yield packet


def _dated(early: Sequence[Any], known: Any) -> Sequence[Any]:
    rate = getattr(known.stream, "average_rate", None)
    step = known.duration or (round(1 / (rate * known.time_base)) if rate else 1)
    for index, packet in enumerate(early):
        packet.dts = known.dts - (len(early) - index) * step
    return early
