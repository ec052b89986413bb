"""Words that schemas use."""

from __future__ import annotations

from enum import StrEnum


class NumberDisplay(StrEnum):
    """How a number looks."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradientslider"


class ControlAfterGenerate(StrEnum):
    """What clients do with a value after every run."""

    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class FolderType(StrEnum):
    """Where files are."""

    input = "input"
    output = "output"
    temp = "temp"


class UploadType(StrEnum):
    """What a choice of files lets clients upload."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"
