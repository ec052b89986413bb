"""Videos made of others that follow each other."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nodes.film_copies import are_alike, join_films
from nodes.film_forms import FilmForm, codec_of, film_form
from nodes.sound_files import Sound, resample, same_channels
from nodes.tensors.pictures import batch
from nodes.video_files import VideoComponents, VideoFromComponents, VideoFromFile, VideoInput


class VideoFromList(VideoFromComponents):
    """A video made of others that follow each other; the first gives sides and rates."""

    def __init__(self, videos: Sequence[VideoInput]) -> None:
        if not videos:
            raise ValueError("a video is made of at least one other")
        super().__init__(joined_parts([video.get_components() for video in videos]))


def encoded(video: VideoInput, codec: str) -> VideoFromFile:
    """A video coded into memory: as MP4, or as WebM for AV1. Raises ValueError."""
    buffer = io.BytesIO()
    video.write(buffer, film_form("auto", codec))
    return VideoFromFile(buffer)


def joined(videos: Sequence[VideoInput], codec: str, sound: Sound | None) -> VideoFromFile:
    """One coded video of all, with a sound for all in place of theirs if there is one.

    The pictures of files that are coded alike are kept as they are; what has to be coded is with
    `codec`. Raises ValueError.
    """
    if not videos:
        raise ValueError("a video is made of at least one other")
    if any(_is_file(video) for video in videos):
        kept = _kept(videos, codec, sound)
        if kept is not None:
            return kept
    parts = joined_parts([video.get_components() for video in videos])
    return encoded(VideoFromComponents(replace(parts, audio=sound or parts.audio)), codec)


def _is_file(video: VideoInput) -> bool:
    return isinstance(video, VideoFromFile) and video.is_whole


def _kept(videos: Sequence[VideoInput], codec: str, sound: Sound | None) -> VideoFromFile | None:
    """All pictures as they are coded, those that are not after coding; None if they differ."""
    with ExitStack() as stack:
        sources, sounds = [], []
        for video in videos:
            track = Track(None, 0)
            if isinstance(video, VideoFromFile) and video.is_whole:
                file = video
                if sound is None:
                    track = Track(
                        video.get_sound(), video.get_frame_count() / video.get_frame_rate()
                    )
            else:
                parts = video.get_components()
                track = Track(parts.audio, len(parts.images) / parts.frame_rate)
                file = encoded(VideoFromComponents(replace(parts, audio=None)), codec)
            sounds.append(track)
            sources.append(stack.enter_context(file.opened()))
            if not are_alike(sources):
                return None
        buffer = io.BytesIO()
        form = _form_for(sources[0].streams.video[0])
        join_films(sources, joined_tracks(sounds) if sound is None else sound, buffer, form)
    return VideoFromFile(buffer)


def _form_for(stream: Any) -> FilmForm:
    """A form that can have the pictures of an open stream as they are."""
    form = film_form("auto", "av1" if codec_of(stream) in ("av1", "vp8", "vp9") else "auto")
    return form if form.may_hold(stream) else film_form("mkv", "auto")


class Track(NamedTuple):
    """What is heard during one of several videos."""

    sound: Sound | None
    seconds: Fraction | int  # how long the pictures last


def joined_parts(parts: Sequence[VideoComponents]) -> VideoComponents:
    """Videos in memory as one. Pictures of other rates repeat, or are left out."""
    first = parts[0]
    tracks = [Track(part.audio, len(part.images) / part.frame_rate) for part in parts]
    images = batch([_at_rate(part, first.frame_rate) for part in parts])
    return VideoComponents(images, first.frame_rate, joined_tracks(tracks), colors=first.colors)


def _at_rate(part: VideoComponents, rate: Fraction) -> Tensor:
    if part.frame_rate == rate:
        return part.images
    ratio = part.frame_rate / rate
    count = max(1, round(len(part.images) / ratio))
    places = [min(int(index * ratio), len(part.images) - 1) for index in range(count)]
    return part.images[places]


def joined_tracks(tracks: Sequence[Track]) -> Sound | None:
    """Sounds one after the other, each as long as its pictures: cut, or followed by silence.

    The first one's rate holds. None if there is no sound at all.
    """
    sounds = [track.sound for track in tracks if track.sound is not None]
    if not sounds:
        return None
    rate = int(sounds[0]["sample_rate"])
    pieces = []
    for track in tracks:
        length = round(track.seconds * rate)
        piece = torch.zeros(1, 1, length)
        if track.sound is not None:
            piece = resample(track.sound["waveform"], int(track.sound["sample_rate"]), rate)
            piece = functional.pad(piece, (0, length - piece.shape[-1]))
        pieces.append(piece)
    return {"waveform": torch.cat(same_channels(pieces), dim=-1), "sample_rate": rate}
