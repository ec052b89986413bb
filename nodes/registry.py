"""All node classes that Darkroom brings along, by the name that workflows use."""

from __future__ import annotations

from nodes import images, saving
from nodes.base import Node

_CLASSES: tuple[type[Node], ...] = (
    images.EmptyImage,
    images.ImageInvert,
    saving.SaveImage,
    saving.PreviewImage,
)

NODE_CLASSES: dict[str, type[Node]] = {node.__name__: node for node in _CLASSES}

DISPLAY_NAMES: dict[str, str] = {
    name: node.DISPLAY_NAME or name for name, node in NODE_CLASSES.items()
}
