"""Nodes that read, make, take apart and write videos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar, Final

from torch import Tensor

from nodes.base import FileOptions, Inputs, inputs
from nodes.film_colors import DEPTHS, SPACES, film_colors
from nodes.film_forms import CODECS, FilmForm, default_loss, film_form
from nodes.named_files import check_named, open_named, stamp
from nodes.saved_files import save_files, target_for
from nodes.saved_images import metadata_of
from nodes.schema import DynamicNode, SchemaNode, growing, opening
from nodes.sound_files import Sound
from nodes.video_encoding import encode_webm
from nodes.video_files import (
    Crop,
    VideoComponents,
    VideoFromComponents,
    VideoFromFile,
    VideoInput,
)
from nodes.video_joining import encoded, joined

_TRIM: Final = ("start_time", "duration")
_HIDDEN: Final = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))


class _VideoNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_video"
    CATEGORY = "image/video"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("VIDEO",)


class CreateVideo(_VideoNode):
    """Makes a video of images and sound."""

    DISPLAY_NAME = "Create Video"
    REQUIRED = inputs(
        images=("IMAGE",),
        fps=("FLOAT", {"default": 30.0, "min": 1.0, "max": 120.0, "step": 1.0}),
    )
    OPTIONAL = inputs(
        audio=("AUDIO",),
        bit_depth=(DEPTHS, {"default": "auto"}),
        color_space=(SPACES, {"default": "sRGB"}),
        codec=(["none", *CODECS], {"default": "none", "advanced": True}),
    )

    @classmethod
    def VALIDATE_INPUTS(cls, bit_depth: Any = "auto") -> bool | str:
        """Whether films have so many bits: as a number, or as text."""
        known = {str(depth) for depth in DEPTHS}
        return bit_depth is None or str(bit_depth) in known or "a film has 8 or 10 bits"

    def run(
        self,
        images: Tensor,
        fps: float,
        audio: Sound | None = None,
        bit_depth: object = "auto",
        color_space: str = "sRGB",
        codec: str = "none",
    ) -> tuple[VideoInput]:
        """The images have the colours that are said. They are coded at once where a codec is said:
        the video takes less memory then; otherwise when it is saved.
        """
        colors = film_colors(bit_depth, color_space)
        parts = VideoComponents(images, Fraction(fps), audio, colors=colors)
        video = VideoFromComponents(parts)
        return (video if codec == "none" else encoded(video, codec),)


class GetVideoComponents(_VideoNode):
    """Takes a video apart."""

    DISPLAY_NAME = "Get Video Components"
    REQUIRED = inputs(video=("VIDEO",))
    RETURN_TYPES = ("IMAGE", "AUDIO", "FLOAT", "COMBO", "COMBO")
    RETURN_NAMES = ("images", "audio", "fps", "bit_depth", "color_space")

    def run(self, video: VideoInput) -> tuple[Tensor, Sound | None, float, int, str]:
        """The sound is None for a silent film."""
        parts = video.get_components()
        colors = parts.colors
        return parts.images, parts.audio, float(parts.frame_rate), colors.bit_depth, colors.space


class LoadVideo(_VideoNode):
    """Names a video file; it is read where it is used."""

    DISPLAY_NAME = "Load Video"
    REQUIRED = inputs(file=(FileOptions("input_videos"), {"video_upload": True}))
    OPTIONAL = inputs(edit=("VIDEO_EDIT", {"socketless": True, "features": ["trim", "crop"]}))

    @classmethod
    def IS_CHANGED(cls, file: str, edit: Any = None) -> str:
        """Size and time of the file: another video under the old name is read anew."""
        return stamp(file)

    @classmethod
    def VALIDATE_INPUTS(cls, file: str) -> bool | str:
        """Whether the file is there."""
        return check_named(file, "video")

    def run(self, file: str, edit: object = None) -> tuple[VideoInput]:
        """The file, or the part of its time and its pictures that a client has chosen.

        Raises ValueError for a part that there is not.
        """
        video = VideoFromFile(open_named(self.context, file, ("video/",)))
        trim, crop = _numbers(edit, "trim", _TRIM), _numbers(edit, "crop", Crop._fields)
        if any(trim):
            video = video.as_trimmed(*trim)
        if any(crop):
            video = video.as_cropped(Crop(*map(int, crop)))
        return (video,)


def _numbers(edit: object, part: str, names: Sequence[str]) -> list[float]:
    """What an edit says about one part, zeros where it says nothing. Raises ValueError.

    Workflows from before there was one have the text of a button at its place.
    """
    said = edit.get(part) if isinstance(edit, Mapping) else None
    if not isinstance(said, Mapping):
        return [0.0] * len(names)
    numbers = [said.get(name) or 0.0 for name in names]
    for name, number in zip(names, numbers, strict=True):
        if not isinstance(number, int | float) or not math.isfinite(number):
            raise ValueError(f"the {part} of a video has a number as its {name}, not {number!r}")
    return numbers


class VideoSlice(_VideoNode):
    """Cuts a part out of a video."""

    NODE_NAME = "Video Slice"
    DISPLAY_NAME = "Video Slice"
    REQUIRED = inputs(
        video=("VIDEO",),
        start_time=("FLOAT", {"default": 0.0, "min": -1e5, "max": 1e5, "step": 0.001}),
        duration=("FLOAT", {"default": 0.0, "min": 0.0, "step": 0.001}),
        strict_duration=("BOOLEAN", {"default": False}),
    )

    def run(
        self, video: VideoInput, start_time: float, duration: float, strict_duration: bool
    ) -> tuple[VideoInput]:
        """Seconds; a negative start counts from the end, a duration of 0 is to the end.

        Raises ValueError where nothing is left, or less than a strict duration.
        """
        total = video.get_duration()
        start = max(0.0, total + start_time) if start_time < 0 else start_time
        if start >= total:
            raise ValueError(f"nothing is left of a video of {total:g} s from {start:g} s on")
        frame = 1 / float(video.get_frame_rate())
        if strict_duration and start + duration > total + frame:
            raise ValueError(f"a video of {total:g} s has no {duration:g} s from {start:g} s on")
        return (video.as_trimmed(start, duration),)


class ConcatenateVideo(DynamicNode):
    """Joins videos one after the other."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_video"
    DISPLAY_NAME = "Concatenate Video"
    CATEGORY = "image/video"
    REQUIRED = inputs(
        videos=growing("video", ("VIDEO",), names="video", least=1, most=100),
        codec=(CODECS, {"default": "auto"}),
    )
    OPTIONAL = inputs(complete_audio=("AUDIO",))
    RETURN_TYPES = ("VIDEO",)

    def run(
        self,
        videos: Mapping[str, VideoInput],
        codec: str = "auto",
        complete_audio: Sound | None = None,
    ) -> tuple[VideoInput]:
        """The first one's sides and rate hold. A complete sound takes the place of theirs.

        Files that are coded alike are joined as they are; everything else is coded, as H.264 if the
        codec is auto.
        """
        return (joined(list(videos.values()), codec, complete_audio),)


def _coding(crf: float, most: float) -> Inputs:
    """How a film is coded: what a choice of a codec opens."""
    loss = ("FLOAT", {"default": crf, "min": 0.0, "max": most, "step": 1.0})
    again = opening({"auto": {}, "re-encode": inputs(crf=loss)}, default="auto")
    return inputs(encoding=again)


_AV1: Final = {"av1": _coding(default_loss("av1"), 63.0)}
_H264: Final = {"h264": _coding(default_loss("h264"), 51.0)}
_CHOICES: Final = {
    **dict.fromkeys(("auto", "mp4", "mkv"), _H264 | _AV1),
    "webm": _AV1,
}


def _codec(coding: Mapping[str, Inputs]) -> Inputs:
    """The codecs of a container: what a choice of a format opens."""
    return inputs(codec=opening({key: {} for key in ("auto", *coding)}, coding, default="auto"))


class SaveVideo(DynamicNode):
    """Writes a video into the output folder."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_video"
    DISPLAY_NAME = "Save Video"
    CATEGORY = "image/video"
    REQUIRED = inputs(
        video=("VIDEO",),
        filename_prefix=("STRING", {"default": "video/ComfyUI", "multiline": False}),
        format=opening({name: _codec(coding) for name, coding in _CHOICES.items()}, default="auto"),
    )
    OPTIONAL = inputs(codec=(CODECS, {"default": "auto", "hidden": True}))  # of earlier releases
    HIDDEN = _HIDDEN
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    OUTPUT_NODE = True
    IN_BACKGROUND = True

    def run(
        self,
        video: VideoInput,
        filename_prefix: str,
        format: str | Mapping[str, Any],
        codec: str = "auto",
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Streams that may stay as they are coded are copied. The workflow goes in unless off.

        A codec beside the format is that of earlier releases, and holds where the format has none.
        Raises ValueError for a codec that the container cannot have.
        """
        context = self.context
        form = _form_of(format, codec)
        width, height = video.get_dimensions()
        metadata = metadata_of(context.settings, prompt, extra_pnginfo) or None
        saved = save_files(
            target_for(context, filename_prefix, width=width, height=height),
            [lambda path: video.write(path, form, metadata)],
            form.container,
        )
        return {"ui": {"images": saved, "animated": (True,)}, "result": (video,)}


def _form_of(format: str | Mapping[str, Any], codec: str) -> FilmForm:
    """What was chosen. Raises ValueError for what does not go together."""
    if isinstance(format, str):
        return film_form(format, codec)
    chosen = format.get("codec", {})
    name = chosen.get("codec", "auto")
    if name == "auto":
        return film_form(format["format"], codec)
    encoding = chosen.get("encoding", {})
    if encoding.get("encoding") != "re-encode":
        return film_form(format["format"], name)
    return film_form(format["format"], name, float(encoding.get("crf", default_loss(name))))


class SaveWEBM(_VideoNode):
    """Writes images as a WebM film."""

    EXPERIMENTAL = True
    REQUIRED = inputs(
        images=("IMAGE",),
        filename_prefix=("STRING", {"default": "ComfyUI", "multiline": False}),
        codec=(["vp9", "av1"],),
        fps=("FLOAT", {"default": 24.0, "min": 0.01, "max": 1000.0, "step": 0.01}),
        crf=("FLOAT", {"default": 32.0, "min": 0, "max": 63.0, "step": 1}),
    )
    HIDDEN = _HIDDEN
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    OUTPUT_NODE = True
    IN_BACKGROUND = True

    def run(
        self,
        images: Tensor,
        filename_prefix: str,
        codec: str,
        fps: float,
        crf: float,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """`crf` is the loss: 0 is little, 63 much. The workflow goes into the file unless off."""
        context = self.context
        metadata = metadata_of(context.settings, prompt, extra_pnginfo)
        saved = save_files(
            target_for(context, filename_prefix, width=images.shape[2], height=images.shape[1]),
            [
                lambda path: encode_webm(
                    images, path, codec=codec, fps=fps, crf=crf, metadata=metadata
                )
            ],
            "webm",
        )
        return {"ui": {"images": saved, "animated": (True,)}, "result": (images,)}
