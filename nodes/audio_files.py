"""Nodes that read and write sound files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from nodes.base import FileOptions, inputs
from nodes.named_files import check_named, digest, open_named, shown_name
from nodes.saved_files import target_for, temp_prefix
from nodes.saved_images import metadata_of
from nodes.saved_sounds import save_sounds
from nodes.schema import DynamicNode, SchemaNode, opening
from nodes.sound_files import Sound, needed, read_sound

_MODULE: Final = "comfy_extras.nodes_audio"
_PREFIX: Final = ("STRING", {"default": "audio/ComfyUI", "multiline": False})
_HIDDEN: Final = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
_MP3: Final = (["V0", "128k", "320k"], {"default": "V0"})
_OPUS: Final = (["64k", "96k", "128k", "192k", "320k"], {"default": "128k"})


class _SoundReader(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = "audio"
    RETURN_TYPES = ("AUDIO",)

    @classmethod
    def IS_CHANGED(cls, audio: str) -> str:
        """A digest of the file: another sound under the old name is read anew."""
        return digest(audio)

    @classmethod
    def VALIDATE_INPUTS(cls, audio: str) -> bool | str:
        """Whether the file is there."""
        return check_named(audio, "audio")

    def run(self, audio: str) -> tuple[Sound]:
        """The first sound track of a sound or video file. Raises NoSound."""
        source = open_named(self.context, audio, ("audio/", "video/"))
        return (read_sound(source, shown_name(audio)),)


class LoadAudio(_SoundReader):
    """Reads the sound of a sound or video file."""

    DISPLAY_NAME = "Load Audio"
    REQUIRED = inputs(audio=(FileOptions("input_audio"), {"audio_upload": True}))


class RecordAudio(_SoundReader):
    """Reads a sound that the front end has recorded and uploaded."""

    DISPLAY_NAME = "Record Audio"
    REQUIRED = inputs(audio=("AUDIO_RECORD",))


class _SoundWriter(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = "audio"
    HIDDEN = _HIDDEN
    RETURN_TYPES = ("AUDIO",)
    RETURN_NAMES = ("audio",)
    OUTPUT_NODE = True
    IN_BACKGROUND = True

    def _save(
        self,
        audio: Sound,
        prefix: str,
        format: str,
        quality: str,
        prompt: Any,
        extra_pnginfo: Mapping[str, Any] | None,
        file_type: str = "output",
    ) -> dict[str, Any]:
        """`ui.audio` lists the files; the workflow goes into them unless that is off."""
        context = self.context
        saved = save_sounds(
            target_for(context, prefix, file_type),
            needed(audio),
            format,
            quality=quality,
            metadata=metadata_of(context.settings, prompt, extra_pnginfo),
        )
        return {"ui": {"audio": saved}, "result": (audio,)}


class SaveAudio(_SoundWriter):
    """Writes sounds as FLAC files, which lose nothing."""

    DISPLAY_NAME = "Save Audio (FLAC)"
    REQUIRED = inputs(audio=("AUDIO",), filename_prefix=_PREFIX)

    def run(
        self,
        audio: Sound,
        filename_prefix: str = "ComfyUI",
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """One file for each sound of the batch."""
        return self._save(audio, filename_prefix, "flac", "", prompt, extra_pnginfo)


class SaveAudioMP3(_SoundWriter):
    """Writes sounds as MP3 files."""

    DISPLAY_NAME = "Save Audio (MP3)"
    REQUIRED = inputs(audio=("AUDIO",), filename_prefix=_PREFIX, quality=_MP3)

    def run(
        self,
        audio: Sound,
        filename_prefix: str = "ComfyUI",
        quality: str = "128k",
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """`V0` varies the rate and is the best."""
        return self._save(audio, filename_prefix, "mp3", quality, prompt, extra_pnginfo)


class SaveAudioOpus(_SoundWriter):
    """Writes sounds as Opus files."""

    DISPLAY_NAME = "Save Audio (Opus)"
    REQUIRED = inputs(audio=("AUDIO",), filename_prefix=_PREFIX, quality=_OPUS)

    def run(
        self,
        audio: Sound,
        filename_prefix: str = "ComfyUI",
        quality: str = "128k",
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Opus has few rates: the sound gets the next higher one."""
        return self._save(audio, filename_prefix, "opus", quality, prompt, extra_pnginfo)


class PreviewAudio(_SoundWriter):
    """Writes sounds as FLAC files into the temp folder, to be heard and not kept."""

    DISPLAY_NAME = "Preview Audio"
    REQUIRED = inputs(audio=("AUDIO",))

    def run(
        self, audio: Sound, prompt: Any = None, extra_pnginfo: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """One file for each sound of the batch."""
        return self._save(audio, temp_prefix(), "flac", "", prompt, extra_pnginfo, "temp")


class SaveAudioAdvanced(_SoundWriter, DynamicNode):
    """Writes sounds in a format of choice."""

    DISPLAY_NAME = "Save Audio (Advanced)"
    REQUIRED = inputs(
        audio=("AUDIO",),
        filename_prefix=_PREFIX,
        format=opening(
            {"flac": inputs(), "mp3": inputs(quality=_MP3), "opus": inputs(quality=_OPUS)}
        ),
    )

    def run(
        self,
        audio: Sound,
        filename_prefix: str,
        format: Mapping[str, str],
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """One file for each sound of the batch."""
        chosen, quality = format["format"], format.get("quality", "")
        return self._save(audio, filename_prefix, chosen, quality, prompt, extra_pnginfo)
