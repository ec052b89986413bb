"""What lists tell of a job that has ended: counts, the item that stands for it, why it failed.

Made once, when the job ends: lists need not read outputs, which may be large.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from executor import json_text
from executor.jobs import JobState, Result

MODEL_KEY: Final = "3d"
MODEL_SUFFIXES: Final = (".obj", ".fbx", ".gltf", ".glb", ".usdz")
_LONGEST_TEXT: Final = 1024  # characters of a text preview
_NOT_SHOWN: Final = "animated"  # key of flags that belong to the images beside it
_TEXT: Final = "text"
_MEDIA_KEYS: Final = frozenset({"images", "video", "audio", MODEL_KEY})
_TEXT_SUFFIXES: Final = (".txt", ".md", ".json")
_NONE: Final = msgspec.Raw(b"null")


class JobSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a list of jobs tells of one job's end. JSON as text."""

    count: int = 0  # items of all kinds in the outputs
    previewable_count: int = 0  # of them, those that a media view can show
    preview: msgspec.Raw = _NONE  # the item to show for the job, with `nodeId`; or null
    error: msgspec.Raw = _NONE  # data of the message that says why it failed; or null

    @property
    def shown_preview(self) -> msgspec.Raw | None:
        return None if self.preview == _NONE else self.preview

    @property
    def shown_error(self) -> msgspec.Raw | None:
        return None if self.error == _NONE else self.error

    @classmethod
    def of(cls, result: Result) -> JobSummary:
        """The summary of what a job has left behind; an empty one if that cannot be read."""
        try:
            outputs, messages = json_text.decode(result.outputs), json_text.decode(result.messages)
        except ValueError:
            return cls()
        count, previewable_count, preview = _summarise(outputs)
        error = None
        if result.state is JobState.FAILED:
            told = reversed(messages)
            error = next((data for kind, data in told if kind == "execution_error"), None)
        return cls(
            count=count,
            previewable_count=previewable_count,
            preview=_raw(preview),
            error=_raw(error),
        )

    @classmethod
    def read(cls, text: str | None) -> JobSummary:
        """A stored summary; an empty one where there is none, or none that can be read."""
        try:
            return msgspec.json.decode(text or "{}", type=cls)
        except ValueError:  # damaged: the list has other jobs, too
            return cls()

    def text(self) -> str:
        """As it is stored."""
        return msgspec.json.encode(self).decode()


def normal_item(item: Any) -> Any:
    """An item of an output; the name of a 3D file stands for its item."""
    if isinstance(item, str) and item.lower().endswith(MODEL_SUFFIXES):
        return {"filename": item, "type": "output", "subfolder": "", "mediaType": MODEL_KEY}
    return item


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json_text.encode(value))


def _summarise(outputs: Mapping[str, Any]) -> tuple[int, int, dict[str, Any] | None]:
    """How many items there are, how many a media view can show, and the best of these."""
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
    return count, previewable_count, None if best is None else best[1]


def _items(outputs: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Node id, key and item of all that is listed."""
    for node_id, ui in outputs.items():
        if not isinstance(ui, dict):
            continue
        for key, items in ui.items():
            if key != _NOT_SHOWN and isinstance(items, list):
                for item in items:
                    yield node_id, key, normal_item(item)


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
        or filename.endswith(MODEL_SUFFIXES)
    ):
        return 0 if item.get("type") == "output" else 1
    return 2 if key == _TEXT or filename.endswith(_TEXT_SUFFIXES) else None


def _text_preview(text: str) -> dict[str, Any]:
    if len(text) > _LONGEST_TEXT:
        return {"content": text[:_LONGEST_TEXT], "truncated": True}
    return {"content": text}
