"""Types that clients show as widgets: numbers, texts, choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, TypeAlias

from comfy_api.latest._enums import ControlAfterGenerate, FolderType, NumberDisplay, UploadType
from comfy_api.latest._remote import RemoteComboOptions, RemoteOptions
from comfy_api.latest._types import ComfyType, Input, Output, WidgetInput, plain

Options: TypeAlias = Sequence[Any] | type[Enum] | None


class _BooleanInput(WidgetInput):
    KEYS = (*WidgetInput.KEYS, ("label_on", "label_on"), ("label_off", "label_off"))

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: bool | None = None,
        label_on: str | None = None,
        label_off: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, default, **more)
        self.label_on = label_on
        self.label_off = label_off


class Boolean(ComfyType, io_type="BOOLEAN"):
    """True or false."""

    Type = bool
    Input = _BooleanInput


class _NumberInput(WidgetInput):
    KEYS = (
        *WidgetInput.KEYS,
        ("min", "min"),
        ("max", "max"),
        ("step", "step"),
        ("display_mode", "display"),
    )

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: float | None = None,
        min: float | None = None,
        max: float | None = None,
        step: float | None = None,
        display_mode: NumberDisplay | str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, default, **more)
        self.min = min
        self.max = max
        self.step = step
        self.display_mode = display_mode


class _IntInput(_NumberInput):
    KEYS = (*_NumberInput.KEYS, ("control_after_generate", "control_after_generate"))

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: int | None = None,
        min: int | None = None,
        max: int | None = None,
        step: int | None = None,
        control_after_generate: bool | ControlAfterGenerate | None = None,
        display_mode: NumberDisplay | str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            id, display_name, optional, tooltip, lazy, default, min, max, step, display_mode, **more
        )
        self.control_after_generate = control_after_generate


class Int(ComfyType, io_type="INT"):
    """A whole number."""

    Type = int
    Input = _IntInput


class _FloatInput(_NumberInput):
    KEYS = (*_NumberInput.KEYS, ("round", "round"), ("gradient_stops", "gradient_stops"))

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: float | None = None,
        min: float | None = None,
        max: float | None = None,
        step: float | None = None,
        round: float | bool | None = None,
        display_mode: NumberDisplay | str | None = None,
        gradient_stops: Sequence[Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            id, display_name, optional, tooltip, lazy, default, min, max, step, display_mode, **more
        )
        self.round = round
        self.gradient_stops = gradient_stops


class Float(ComfyType, io_type="FLOAT"):
    """A number."""

    Type = float
    Input = _FloatInput


class _StringInput(WidgetInput):
    KEYS = (
        *WidgetInput.KEYS,
        ("multiline", "multiline"),
        ("placeholder", "placeholder"),
        ("dynamic_prompts", "dynamicPrompts"),
    )

    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        multiline: bool = False,
        placeholder: str | None = None,
        default: str | None = None,
        dynamic_prompts: bool | None = None,
        **more: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, default, **more)
        self.multiline = multiline
        self.placeholder = placeholder
        self.dynamic_prompts = dynamic_prompts


class String(ComfyType, io_type="STRING"):
    """A text."""

    Type = str
    Input = _StringInput


def _choices(options: Options) -> list[Any] | None:
    if options is None or (isinstance(options, list) and type(options) is not list):
        return options
    return [plain(option) for option in options]


class _ComboInput(WidgetInput):
    KEYS = (
        *WidgetInput.KEYS,
        ("multiselect", "multiselect"),
        ("options", "options"),
        ("control_after_generate", "control_after_generate"),
        ("image_folder", "image_folder"),
        ("remote", "remote"),
        ("remote_combo", "remote_combo"),
    )
    multiselect = False

    def __init__(
        self,
        id: str,
        options: Options = None,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Any = None,
        control_after_generate: bool | ControlAfterGenerate | None = None,
        upload: UploadType | str | None = None,
        image_folder: FolderType | str | None = None,
        remote: RemoteOptions | None = None,
        socketless: bool | None = None,
        remote_combo: RemoteComboOptions | None = None,
        **more: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, **more)
        self.options = _choices(options)
        if self.options is None and remote_combo is None:
            self.options = []
        self.control_after_generate = control_after_generate
        self.upload = upload
        self.image_folder = image_folder
        self.remote = remote
        self.remote_combo = remote_combo

    def as_dict(self) -> dict[str, Any]:
        """The options; an upload is a flag of that name."""
        upload = {} if self.upload is None else {plain(self.upload): True}
        return super().as_dict() | upload

    def validate(self) -> None:
        """Choices that the client fetches are not given as well."""
        super().validate()
        if self.remote_combo is not None and (self.options or self.remote is not None):
            raise ValueError(f"input '{self.id}': remote_combo excludes options and remote")


class _ComboOutput(Output):
    """One declared output of choices."""

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        options: Options = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__(id, display_name, tooltip, is_output_list, **unknown)
        self.options = _choices(options) or []


class Combo(ComfyType, io_type="COMBO"):
    """A choice."""

    Type = str
    Input = _ComboInput
    Output = _ComboOutput


class _MultiComboInput(_ComboInput):
    KEYS = (
        *_ComboInput.KEYS,
        ("placeholder", "placeholder"),
        ("chip", "chip"),
        ("multi_select", "multi_select"),
    )
    multiselect = True

    def __init__(
        self,
        id: str,
        options: Options = None,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        default: Sequence[Any] | None = None,
        placeholder: str | None = None,
        chip: bool | None = None,
        control_after_generate: bool | ControlAfterGenerate | None = None,
        **more: Any,
    ) -> None:
        super().__init__(
            id, options, display_name, optional, tooltip, lazy, default, control_after_generate,
            **more,
        )  # fmt: skip
        self.placeholder = placeholder
        self.chip = chip

    @property
    def multi_select(self) -> dict[str, Any]:
        """The form that later clients read."""
        looks = {"placeholder": self.placeholder, "chip": self.chip}
        return {key: value for key, value in looks.items() if value is not None}


class MultiCombo(ComfyType, io_type="COMBO"):
    """Several choices: a list."""

    Type = list
    Input = _MultiComboInput


class _MultiTypeInput(Input):
    """An input of several types. With an input in place of the id, that is its widget."""

    def __init__(
        self,
        id: str | Input,
        types: Sequence[Any],
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self.widget = id if isinstance(id, Input) else None
        if isinstance(id, Input):
            optional = optional or id.optional
        super().__init__(
            id.id if isinstance(id, Input) else id,
            display_name,
            optional,
            tooltip,
            lazy,
            extra_dict,
            **more,
        )
        self.types = list(types)

    @property
    def io_types(self) -> list[Any]:
        """The types, each once; that of the widget comes first."""
        return [*([self.widget] if self.widget is not None else []), *self.types]

    def get_io_type(self) -> str:
        """The union, such as `INT,FLOAT`."""
        return union(self.io_types)

    def as_dict(self) -> dict[str, Any]:
        """The options of the widget, and its own."""
        if self.widget is None:
            return super().as_dict()
        return {"widgetType": self.widget.get_io_type()} | self.widget.as_dict() | super().as_dict()


def union(types: Sequence[Any]) -> str:
    """The names of types, joined by commas: classes, inputs or names."""
    names = (kind if isinstance(kind, str) else _type_name(kind) for kind in types)
    return ",".join(dict.fromkeys(names))


def _type_name(kind: Any) -> str:
    return str(kind.get_io_type() if isinstance(kind, Input) else kind.io_type)


class MultiType(ComfyType, io_type="COMFY_MULTITYPED_V3"):
    """One of several types."""

    Input = _MultiTypeInput
