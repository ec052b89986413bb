"""Re-encodes pictures for `/view`, joins masks with originals. Blocking: call in a thread."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from server.errors import BadRequest

_DEFAULT_QUALITY: Final = 90

# Pillow reads more, among them EPS, for which it starts an interpreter of programs.
_FORMATS: Final = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "ICO")


_DEFAULT_PIXELS: Final = 150_000_000
_most_pixels = [_DEFAULT_PIXELS]


def limit_pixels(most: int) -> None:
    """Say once how large a picture may be that is decoded."""
    _most_pixels[0] = most


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """How a client wants to see an image."""

    channel: str | None = None  # "rgb": without alpha; "a": alpha only; else all
    preview_format: str | None = None  # "webp" or "jpeg": re-encoded; None: PNG
    quality: int = _DEFAULT_QUALITY

    @property
    def content_type(self) -> str:
        return f"image/{self.preview_format or 'png'}"


def read_rendering(channel: str | None, preview: str | None) -> Rendering | None:
    """From the parameters of `/view`; None means the file as it is.

    `preview` is `<format>[;quality]`; only webp and jpeg are made, and alpha needs webp.
    """
    if preview is not None:
        parts = preview.split(";")
        last = parts[-1]
        quality = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else None
        is_jpeg = parts[0] == "jpeg" and "a" not in (channel or "")
        return Rendering(
            channel=channel,
            preview_format="jpeg" if is_jpeg else "webp",
            quality=min(quality or _DEFAULT_QUALITY, 100),
        )
    return Rendering(channel=channel) if channel in ("rgb", "a") else None


def render(file: Path, rendering: Rendering) -> bytes:
    """The file's picture, re-encoded; raises BadRequest if it holds none."""
    from PIL import Image  # not before it is needed: it makes the idle server larger

    try:
        with _open(file) as image:
            return _encode(image, rendering)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadRequest(
            f"'{file.name}' is no image that can be shown", details=_reason(error)
        ) from None


def _reason(error: Exception) -> str:
    """What is wrong with a picture, without the path of its file."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "its format is not known"
    return getattr(error, "strerror", None) or str(error)


def _open(file: Path | IO[bytes]) -> Any:
    from PIL import Image

    Image.init()
    # Pillow warns beyond its limit and raises an error only at the double of it.
    Image.MAX_IMAGE_PIXELS = _most_pixels[0]
    image = Image.open(file, formats=[name for name in _FORMATS if name in Image.OPEN])
    if image.width * image.height > _most_pixels[0]:
        with image:  # closes what it has opened itself only
            raise Image.DecompressionBombError(
                f"it has {image.width}x{image.height} pixels, more than the setting "
                f"'max_image_pixels' allows ({_most_pixels[0] / 1e6:g} million)"
            )
    return image


def refuse_bomb(file: IO[bytes]) -> None:
    """Raise BadRequest for a picture of more pixels than are ever decoded; other files may pass.

    Only the head is read, and the file is left at its start.
    """
    from PIL import Image

    try:
        with _open(file):
            pass
    except Image.DecompressionBombError as error:
        raise BadRequest(
            "the picture is too large", details=_reason(error), field="image"
        ) from None
    except (OSError, ValueError, SyntaxError):
        return  # no picture that Pillow knows
    finally:
        file.seek(0)


def _encode(image: Any, rendering: Rendering) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    if rendering.preview_format is not None:
        without_alpha = rendering.preview_format == "jpeg" or rendering.channel == "rgb"
        if without_alpha:
            image = image.convert("RGB")
        elif image.mode not in ("RGB", "RGBA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        image.save(buffer, format=rendering.preview_format, quality=rendering.quality)
    elif rendering.channel == "rgb":
        image.convert("RGB").save(buffer, format="PNG", compress_level=1)
    else:
        alpha = image.convert("RGBA").getchannel("A")
        only_alpha = Image.new("RGBA", image.size)
        only_alpha.putalpha(alpha)
        only_alpha.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def join_mask(original: Path, mask: IO[bytes]) -> bytes:
    """The original with the alpha of the mask, as PNG with the original's text chunks.

    Raises BadRequest if either is no image or their sizes differ.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    try:
        with _open(original) as picture, _open(mask) as overlay:
            if picture.size != overlay.size:
                raise BadRequest(
                    f"the mask is {overlay.size[0]}x{overlay.size[1]}, "
                    f"its original {picture.size[0]}x{picture.size[1]}: they must be equal"
                )
            texts = PngInfo()
            for key, value in getattr(picture, "text", {}).items():
                texts.add_text(key, value)
            joined = picture.convert("RGBA")
            joined.putalpha(overlay.convert("RGBA").getchannel("A"))
            buffer = io.BytesIO()
            joined.save(buffer, format="PNG", compress_level=4, pnginfo=texts)
            return buffer.getvalue()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadRequest("mask or original is no readable image", details=_reason(error)) from None


def thumbnail(source: Path | IO[bytes], longest_side: int) -> bytes:
    """The picture as WebP, shrunk to fit; raises BadRequest if it is none."""
    from PIL import Image

    buffer = io.BytesIO()
    try:
        with _open(source) as image:
            if image.mode not in ("RGB", "RGBA", "L"):  # the others are not shrunk smoothly
                image = image.convert("RGBA" if image.has_transparency_data else "RGB")
            image.thumbnail((longest_side, longest_side))
            image.save(buffer, format="webp", quality=_DEFAULT_QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadRequest("this is no picture that can be shown", details=_reason(error)) from None
    return buffer.getvalue()
