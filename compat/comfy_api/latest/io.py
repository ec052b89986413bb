"""`from comfy_api.latest import io`: everything that schemas are made of."""

from __future__ import annotations

import logging
from typing import Any

from comfy_api.latest._dynamic import (
    Autogrow,
    DynamicCombo,
    DynamicGroup,
    DynamicInput,
    DynamicSlot,
    MatchType,
)
from comfy_api.latest._enums import ControlAfterGenerate, FolderType, NumberDisplay, UploadType
from comfy_api.latest._node import ComfyNode, NodeOutput
from comfy_api.latest._plain import PLAIN_TYPES, later_type
from comfy_api.latest._remote import RemoteComboOptions, RemoteItemSchema, RemoteOptions
from comfy_api.latest._replacing import NodeReplace
from comfy_api.latest._schema import (
    Hidden,
    HiddenHolder,
    PriceBadge,
    PriceBadgeDepends,
    Schema,
)
from comfy_api.latest._types import (
    ComfyType,
    ComfyTypeI,
    ComfyTypeIO,
    Custom,
    Input,
    Output,
    WidgetInput,
    comfytype,
)
from comfy_api.latest._widgets import Boolean, Combo, Float, Int, MultiCombo, MultiType, String

log = logging.getLogger(__name__)

_later: dict[str, type[ComfyType]] = {}


def __getattr__(name: str) -> Any:
    """Plain types; also those of later releases, by the name that packs give them."""
    found = PLAIN_TYPES.get(name) or _later.get(name) or later_type(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in PLAIN_TYPES and name not in _later:
        log.info("io.%s is not known here: it is taken for a plain type %s", name, found.io_type)
        _later[name] = found
    return found


__all__ = [
    "Autogrow",
    "Boolean",
    "Combo",
    "ComfyNode",
    "ComfyType",
    "ComfyTypeI",
    "ComfyTypeIO",
    "ControlAfterGenerate",
    "Custom",
    "DynamicCombo",
    "DynamicGroup",
    "DynamicInput",
    "DynamicSlot",
    "Float",
    "FolderType",
    "Hidden",
    "HiddenHolder",
    "Input",
    "Int",
    "MatchType",
    "MultiCombo",
    "MultiType",
    "NodeOutput",
    "NodeReplace",
    "NumberDisplay",
    "Output",
    "PriceBadge",
    "PriceBadgeDepends",
    "RemoteComboOptions",
    "RemoteItemSchema",
    "RemoteOptions",
    "Schema",
    "String",
    "UploadType",
    "WidgetInput",
    "comfytype",
    *PLAIN_TYPES,
]
