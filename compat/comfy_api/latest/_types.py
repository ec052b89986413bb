"""What every socket type has: an `Input` and an `Output` that schemas declare.

Constructors keep arguments that they do not know: packs written for later releases declare them for
the client, which gets them in GET /object_info.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, ClassVar, TypeAlias, TypeVar

Names: TypeAlias = tuple[tuple[str, str], ...]  # attribute -> key in GET /object_info

_T = TypeVar("_T", bound="type[ComfyType]")


def plain(value: Any) -> Any:
    """The value as clients see it: enums by their value, descriptions of options as objects."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list) and type(value) is not list:
        return value  # lists of files know what they list, for the server to list it anew
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, type) or not hasattr(value, "as_dict"):
        return value
    return value.as_dict()


class Input:
    """One declared input."""

    Parent: ClassVar[Any] = None  # the type that it belongs to
    io_type: ClassVar[str] = "*"
    KEYS: ClassVar[Names] = (
        ("display_name", "display_name"),
        ("tooltip", "tooltip"),
        ("lazy", "lazy"),
        ("raw_link", "rawLink"),
        ("advanced", "advanced"),
    )

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        raw_link: bool | None = None,
        advanced: bool | None = None,
        **unknown: Any,
    ) -> None:
        self.id = id
        self.display_name = display_name
        self.optional = optional
        self.tooltip = tooltip
        self.lazy = lazy
        self.extra_dict = dict(extra_dict or {})
        self.raw_link = raw_link
        self.advanced = advanced
        self.unknown = unknown

    def get_io_type(self) -> str:
        """The type, as in GET /object_info."""
        return self.io_type

    def as_dict(self) -> dict[str, Any]:
        """The options, as in GET /object_info: those that were set."""
        known = {key: plain(getattr(self, attribute)) for attribute, key in self.KEYS}
        options = known | plain(self.unknown) | plain(self.extra_dict)
        return {key: value for key, value in options.items() if value is not None}

    def validate(self) -> None:
        """Raise ValueError for a declaration that cannot work."""
        if not isinstance(self.id, str) or not self.id:
            raise ValueError(f"the id of an input must be a text, not {self.id!r}")

    def get_all(self) -> list[Input]:
        """This input."""
        return [self]


class WidgetInput(Input):
    """An input that clients show as a widget, unless it is linked."""

    KEYS = (
        *Input.KEYS,
        ("default", "default"),
        ("socketless", "socketless"),
        ("widget_type", "widgetType"),
        ("force_input", "forceInput"),
    )

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Any = None,
        socketless: bool | None = None,
        widget_type: str | None = None,
        force_input: bool | None = None,
        **more: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, **more)
        self.default = default
        self.socketless = socketless
        self.widget_type = widget_type
        self.force_input = force_input


class Output:
    """One declared output."""

    Parent: ClassVar[Any] = None
    io_type: ClassVar[str] = "*"

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
        **unknown: Any,
    ) -> None:
        self.id = id
        self.display_name = display_name
        self.tooltip = tooltip
        self.is_output_list = is_output_list
        self.unknown = unknown

    def get_io_type(self) -> Any:
        """The type, as in GET /object_info."""
        return self.io_type

    @property
    def match_id(self) -> str | None:
        """The template whose type this output has, if it is one of those."""
        return None


class ComfyType:
    """A socket type. `class Image(ComfyType, io_type="IMAGE")`; the `Input` of each knows it."""

    Type: Any = Any  # for annotations in packs
    Parent: ClassVar[Any] = None
    io_type: ClassVar[str] = "*"
    Input: ClassVar[type[Input]] = Input
    Output: ClassVar[type[Output]] = Output

    def __init_subclass__(cls, io_type: str | None = None) -> None:
        super().__init_subclass__()
        cls._bind(io_type if io_type is not None else cls.io_type)

    @classmethod
    def _bind(cls, io_type: str) -> None:
        """Give the type its name, and an `Input` and `Output` of its own."""
        cls.io_type = io_type
        for name in ("Input", "Output"):
            base = getattr(cls, name)
            own = {"Parent": cls, "io_type": io_type, "__module__": base.__module__}
            setattr(cls, name, type(name, (base,), own))


ComfyTypeI = ComfyTypeIO = ComfyType


def comfytype(io_type: str, **unknown: Any) -> Callable[[_T], _T]:
    """Decorate a class that a pack derives from ComfyTypeIO with the name of its type."""

    def name_it(cls: _T) -> _T:
        cls._bind(io_type)
        return cls

    return name_it


def Custom(io_type: str) -> type[ComfyType]:
    """A plain type of that name."""
    return type(io_type, (ComfyType,), {"Type": Any}, io_type=io_type)


def sections(inputs: Iterable[Input]) -> dict[str, dict[str, Any]]:
    """Inputs as in GET /object_info: `required` always, `optional` where there are any."""
    found: dict[str, dict[str, Any]] = {"required": {}}
    for declared in inputs:
        section = found.setdefault("optional" if declared.optional else "required", {})
        section[declared.id] = (declared.get_io_type(), declared.as_dict())
    return found
