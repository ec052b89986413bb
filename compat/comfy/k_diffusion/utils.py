"""Small helpers of k-diffusion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from models.protocol.k_diffusion import append_dims as append_dims


class FolderOfImages:
    """A data set of the pictures below a folder, by name; packs also ask it for the extensions."""

    IMG_EXTENSIONS: ClassVar[set[str]] = {
        ".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"
    }  # fmt: skip

    def __init__(self, root: str | Path, transform: Callable[[Any], Any] | None = None) -> None:
        self.root = Path(root)
        self.transform = transform
        self.paths = sorted(
            path for path in self.root.rglob("*") if path.suffix.lower() in self.IMG_EXTENSIONS
        )

    def __repr__(self) -> str:
        return f'FolderOfImages(root="{self.root}", len: {len(self)})'

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: int) -> tuple[Any]:
        with Image.open(self.paths[key]) as picture:
            image: Any = picture.convert("RGB")
        return (image if self.transform is None else self.transform(image),)
