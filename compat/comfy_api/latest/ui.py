"""`from comfy_api.latest import ui`: what nodes show, and helpers that save files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import _saving
from comfy_api.latest._enums import FolderType
from comfy_api.latest._saving import SavedResult
from torch import Tensor

from nodes.saved_files import temp_prefix


class _UIOutput:
    """Something that a node shows; `as_dict` gives what clients get."""

    def as_dict(self) -> dict[str, Any]:
        """The `ui` of a result."""
        raise NotImplementedError


class SavedImages(_UIOutput):
    """Images that were saved."""

    def __init__(self, results: Sequence[Any], is_animated: bool = False) -> None:
        self.results = list(results)
        self.is_animated = is_animated

    def as_dict(self) -> dict[str, Any]:
        """The files."""
        shown: dict[str, Any] = {"images": self.results}
        if self.is_animated:
            shown["animated"] = (True,)
        return shown


class SavedAudios(_UIOutput):
    """Sounds that were saved."""

    def __init__(self, results: Sequence[Any]) -> None:
        self.results = list(results)

    def as_dict(self) -> dict[str, Any]:
        """The files."""
        return {"audio": self.results}


class ImageSaveHelper:
    """Writes images; names follow the prefix, as those of SaveImage do."""

    @staticmethod
    def save_images(
        images: Tensor,
        filename_prefix: str,
        folder_type: FolderType | str,
        cls: Any,
        compress_level: int = 4,
    ) -> list[SavedResult]:
        """One PNG for each image."""
        return _saving.save_pngs(images, filename_prefix, folder_type, cls, compress_level)

    @staticmethod
    def get_save_images_ui(
        images: Tensor, filename_prefix: str, cls: Any, compress_level: int = 4
    ) -> SavedImages:
        """Save into the output folder, and show."""
        return SavedImages(
            ImageSaveHelper.save_images(
                images, filename_prefix, FolderType.output, cls, compress_level
            )
        )

    @staticmethod
    def save_animated_png(
        images: Tensor,
        filename_prefix: str,
        folder_type: FolderType | str,
        cls: Any,
        fps: float,
        compress_level: int = 4,
    ) -> SavedResult:
        """One moving PNG."""
        return _saving.save_animated_png(
            images, filename_prefix, folder_type, cls, fps, compress_level
        )

    @staticmethod
    def get_save_animated_png_ui(
        images: Tensor, filename_prefix: str, cls: Any, fps: float, compress_level: int = 4
    ) -> SavedImages:
        """Save into the output folder, and show."""
        saved = ImageSaveHelper.save_animated_png(
            images, filename_prefix, FolderType.output, cls, fps, compress_level
        )
        return SavedImages([saved], is_animated=len(images) > 1)

    @staticmethod
    def save_animated_webp(
        images: Tensor,
        filename_prefix: str,
        folder_type: FolderType | str,
        cls: Any,
        fps: float,
        lossless: bool,
        quality: int,
        method: str | int,
    ) -> SavedResult:
        """One moving WebP."""
        return _saving.save_animated_webp(
            images, filename_prefix, folder_type, cls, fps, lossless, quality, method
        )

    @staticmethod
    def get_save_animated_webp_ui(
        images: Tensor,
        filename_prefix: str,
        cls: Any,
        fps: float,
        lossless: bool,
        quality: int,
        method: str | int,
    ) -> SavedImages:
        """Save into the output folder, and show."""
        saved = ImageSaveHelper.save_animated_webp(
            images, filename_prefix, FolderType.output, cls, fps, lossless, quality, method
        )
        return SavedImages([saved], is_animated=len(images) > 1)


class AudioSaveHelper:
    """Writes sounds."""

    @staticmethod
    def save_audio(
        audio: dict[str, Any],
        filename_prefix: str,
        folder_type: FolderType | str,
        cls: Any,
        format: str = "flac",
        quality: str = "128k",
    ) -> list[SavedResult]:
        """One file for each sound of the batch."""
        return _saving.save_sounds(audio, filename_prefix, folder_type, cls, format, quality)

    @staticmethod
    def get_save_audio_ui(
        audio: dict[str, Any],
        filename_prefix: str,
        cls: Any,
        format: str = "flac",
        quality: str = "128k",
    ) -> SavedAudios:
        """Save into the output folder, and show."""
        return SavedAudios(
            AudioSaveHelper.save_audio(
                audio, filename_prefix, FolderType.output, cls, format, quality
            )
        )


class PreviewImage(_UIOutput):
    """Images that are shown, not kept."""

    def __init__(self, image: Tensor, animated: bool = False, cls: Any = None, **_: Any) -> None:
        self.values = ImageSaveHelper.save_images(
            image, temp_prefix(), FolderType.temp, cls, compress_level=1
        )
        self.animated = animated

    def as_dict(self) -> dict[str, Any]:
        """The files."""
        return {"images": self.values, "animated": (self.animated,)}


class PreviewMask(PreviewImage):
    """Masks [B, H, W] that are shown as grey images."""

    def __init__(self, mask: Tensor, animated: bool = False, cls: Any = None, **_: Any) -> None:
        grey = mask.reshape((-1, 1, *mask.shape[-2:])).movedim(1, -1).expand(-1, -1, -1, 3)
        super().__init__(grey, animated, cls)


class PreviewAudio(_UIOutput):
    """Sounds that are shown, not kept."""

    def __init__(self, audio: dict[str, Any], cls: Any = None, **_: Any) -> None:
        self.values = AudioSaveHelper.save_audio(
            audio, temp_prefix(), FolderType.temp, cls, format="flac"
        )

    def as_dict(self) -> dict[str, Any]:
        """The files."""
        return {"audio": self.values}


class PreviewVideo(_UIOutput):
    """Video files that were saved."""

    def __init__(self, values: Sequence[Any], **_: Any) -> None:
        self.values = list(values)

    def as_dict(self) -> dict[str, Any]:
        """The files, under the key that clients look at."""
        return {"images": self.values, "animated": (True,)}


class PreviewText(_UIOutput):
    """A text."""

    def __init__(self, value: str, **_: Any) -> None:
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        """The text."""
        return {"text": (self.value,)}


class PreviewUI3D(_UIOutput):
    """A model file, and how it is looked at."""

    def __init__(
        self, model_file: str, camera_info: Any, bg_image: Tensor | None = None, **_: Any
    ) -> None:
        self.model_file = model_file
        self.camera_info = camera_info
        self.bg_image_path: str | None = None
        if bg_image is not None:
            (saved,) = ImageSaveHelper.save_images(
                bg_image[:1], temp_prefix(), FolderType.temp, None, compress_level=1
            )
            self.bg_image_path = f"temp/{saved.filename}"

    def as_dict(self) -> dict[str, Any]:
        """File, camera and background."""
        return {"result": [self.model_file, self.camera_info, self.bg_image_path]}


__all__ = [
    "AudioSaveHelper",
    "FolderType",
    "ImageSaveHelper",
    "PreviewAudio",
    "PreviewImage",
    "PreviewMask",
    "PreviewText",
    "PreviewUI3D",
    "PreviewVideo",
    "SavedAudios",
    "SavedImages",
    "SavedResult",
    "_UIOutput",
]
