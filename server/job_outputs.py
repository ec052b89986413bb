"""What a job's outputs hold that a person can look at: counts, and the item that stands for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_LONGEST_TEXT: Final = 1024  # characters of a text preview
_NOT_SHOWN: Final = "animated"  # key of flags that belong to the images beside it
_TEXT: Final = "text"
_MODEL: Final = "3d"
_MEDIA_KEYS: Final = frozenset({"images", "video", "audio", _MODEL})
_MODEL_SUFFIXES: Final = (".obj", ".fbx", ".gltf", ".glb", ".usdz")
_TEXT_SUFFIXES: Final = (".txt", ".md", ".json")


@dataclass(frozen=True, kw_only=True)
class OutputSummary:
    """What a list of jobs tells of one job's outputs."""

    count: int = 0  # items of all kinds
    previewable_count: int = 0  # of them, those that a media view can show
    preview: dict[str, Any] | None = None  # the item to show for the job, with `nodeId`


def summarise(outputs: Mapping[str, Any]) -> OutputSummary:
    """The summary of `outputs`: node id -> ui object."""
    count = previewable_count = 0
    best: tuple[int, dict[str, Any]] | None = None
    for node_id, key, item in _items(outputs):
        rank = _rank(key, item)
        if isinstance(item, dict):
            count += 1
            previewable_count += rank is not None
        if rank is not None and (best is None or rank < best[0]):
            shown = item if isinstance(item, dict) else _text_preview(item)
            best = rank, {"mediaType": key} | shown | {"nodeId": node_id}
    return OutputSummary(
        count=count,
        previewable_count=previewable_count,
        preview=None if best is None else best[1],
    )


def normalise(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a single job: names of 3D files become items, nulls are dropped."""
    return {
        node_id: {key: _normal_items(items) for key, items in ui.items()}
        if isinstance(ui, dict)
        else ui
        for node_id, ui in outputs.items()
    }


def _normal_items(items: Any) -> Any:
    if not isinstance(items, list):
        return items
    return [_normal(item) for item in items if item is not None]


def _normal(item: Any) -> Any:
    if isinstance(item, str) and item.lower().endswith(_MODEL_SUFFIXES):
        return {"filename": item, "type": "output", "subfolder": "", "mediaType": _MODEL}
    return item


def _items(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Node id, key and item of all that is listed."""
    for node_id, ui in outputs.items():
        if not isinstance(ui, dict):
            continue
        for key, items in ui.items():
            if key != _NOT_SHOWN and isinstance(items, list):
                for item in items:
                    yield node_id, key, _normal(item)


def _rank(key: str, item: Any) -> int | None:
    """How well an item stands for its job, the best is 0; None: a media view cannot show it."""
    if isinstance(item, str):
        return 3 if key == _TEXT else None
    if not isinstance(item, dict):
        return None
    filename, media_format = str(item.get("filename", "")).lower(), str(item.get("format", ""))
    if (
        key in _MEDIA_KEYS
        or media_format.startswith(("video/", "audio/"))
        or filename.endswith(_MODEL_SUFFIXES)
    ):
        return 0 if item.get("type") == "output" else 1
    return 2 if key == _TEXT or filename.endswith(_TEXT_SUFFIXES) else None


def _text_preview(text: str) -> dict[str, Any]:
    if len(text) > _LONGEST_TEXT:
        return {"content": text[:_LONGEST_TEXT], "truncated": True}
    return {"content": text}
