"""Inputs that bring further inputs along.

In a graph these have flat names with dots (`images.image0`), in `execute` they are nested
dictionaries. What the engine hands over was chosen by the rules of `executor.rules`; here the
declarations are made, and flat values are nested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from comfy_api.latest._types import ComfyType, Input, Output, WidgetInput, sections
from comfy_api.latest._widgets import union

MAX_MEMBERS: Final = 100
MAX_ROWS: Final = 20
ABSENT: Final = object()


class DynamicInput(Input):
    """One declared input that brings others along."""

    def collect(self, name: str, given: Mapping[str, Any]) -> Any:
        """The nested value of the input `name` from flat values; ABSENT if there is none."""
        raise NotImplementedError


def collect_all(
    inputs: Sequence[Input], given: Mapping[str, Any], prefix: str = ""
) -> dict[str, Any]:
    """The values of declared inputs by id, nested where they are dynamic."""
    found = {}
    for declared in inputs:
        name = prefix + declared.id
        if isinstance(declared, DynamicInput):
            value = declared.collect(name, given)
        else:
            value = given.get(name, ABSENT)
        if value is not ABSENT:
            found[declared.id] = value
    return found


class _Template:
    """What a growing input is made of."""

    def __init__(self, input: Input, min: int) -> None:
        if isinstance(input, DynamicInput):
            raise ValueError("the members of a growing input cannot be dynamic themselves")
        if isinstance(input, WidgetInput):
            input.force_input = True  # clients cannot grow widgets
        self.input = input
        self.min = min
        self.names: list[str] = []

    def check(self) -> None:
        """Raise ValueError for bounds that cannot be kept."""
        if not 0 <= self.min <= len(self.names) <= MAX_MEMBERS:
            raise ValueError(
                f"a growing input has 0 <= min <= max <= {MAX_MEMBERS}, "
                f"not min {self.min} and max {len(self.names)}"
            )

    def as_dict(self) -> dict[str, Any]:
        """As in GET /object_info."""
        return {"input": sections([self.input])}


class TemplatePrefix(_Template):
    """Members named `prefix0`, `prefix1`, ..."""

    def __init__(self, input: Input, prefix: str, min: int = 1, max: int = 10) -> None:
        super().__init__(input, min)
        self.prefix = prefix
        self.max = max
        self.names = [f"{prefix}{i}" for i in range(max)]
        self.check()

    def as_dict(self) -> dict[str, Any]:
        """As in GET /object_info."""
        return super().as_dict() | {"prefix": self.prefix, "min": self.min, "max": self.max}


class TemplateNames(_Template):
    """Members with given names."""

    def __init__(self, input: Input, names: Sequence[str], min: int = 1) -> None:
        super().__init__(input, min)
        self.names = list(names)
        self.check()

    def as_dict(self) -> dict[str, Any]:
        """As in GET /object_info."""
        return super().as_dict() | {"names": self.names, "min": self.min}


class _AutogrowInput(DynamicInput):
    KEYS = (*DynamicInput.KEYS, ("template", "template"))

    def __init__(
        self,
        id: str,
        template: _Template,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, extra_dict, **more)
        self.template = template

    def collect(self, name: str, given: Mapping[str, Any]) -> Any:
        """The members in the order of the template; a dictionary without any if there are none."""
        members = ((member, f"{name}.{member}") for member in self.template.names)
        return {member: given[full] for member, full in members if full in given}


class Autogrow(ComfyType, io_type="COMFY_AUTOGROW_V3"):
    """A group of inputs that grows with what is linked."""

    Type = dict
    Input = _AutogrowInput
    TemplatePrefix = TemplatePrefix
    TemplateNames = TemplateNames
    _MaxNames = MAX_MEMBERS


class Option:
    """One choice of a dynamic combo, with the inputs that it opens."""

    def __init__(self, key: str, inputs: Sequence[Input]) -> None:
        self.key = key
        self.inputs = list(inputs)

    def as_dict(self) -> dict[str, Any]:
        """As in GET /object_info."""
        return {"key": self.key, "inputs": sections(self.inputs)}


class _DynamicComboInput(DynamicInput):
    KEYS = (*DynamicInput.KEYS, ("options", "options"))

    def __init__(
        self,
        id: str,
        options: Sequence[Option],
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, extra_dict, **more)
        self.options = list(options)

    def validate(self) -> None:
        """Keys, and the ids of what one choice opens, must differ."""
        super().validate()
        check_unique((option.key for option in self.options), f"the options of input '{self.id}'")
        for option in self.options:
            check_inputs(option.inputs, f"option '{option.key}' of input '{self.id}'")

    def collect(self, name: str, given: Mapping[str, Any]) -> Any:
        """The choice under the input's own id, beside what it opens."""
        chosen = given.get(name, ABSENT)
        key = chosen[0] if isinstance(chosen, list) and chosen else chosen  # whole lists
        for option in self.options:
            if option.key == key:
                return {self.id: chosen} | collect_all(option.inputs, given, f"{name}.")
        return ABSENT


class DynamicCombo(ComfyType, io_type="COMFY_DYNAMICCOMBO_V3"):
    """A choice that opens further inputs."""

    Type = dict
    Input = _DynamicComboInput
    Option = Option


class _DynamicSlotInput(DynamicInput):
    """A socket that opens further inputs once it is linked."""

    def __init__(
        self,
        slot: Input,
        inputs: Sequence[Input],
        display_name: str | None = None,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(slot.id, display_name, True, tooltip, lazy, extra_dict, **more)
        if isinstance(slot, WidgetInput):
            slot.force_input = True
        self.slot = slot
        self.inputs = list(inputs)

    def validate(self) -> None:
        """The ids of what it opens must differ."""
        super().validate()
        check_inputs(self.inputs, f"what input '{self.id}' opens")

    def as_dict(self) -> dict[str, Any]:
        """The type of the socket, and what it opens."""
        opens = {"slotType": self.slot.get_io_type(), "inputs": sections(self.inputs)}
        return self.slot.as_dict() | super().as_dict() | opens

    def collect(self, name: str, given: Mapping[str, Any]) -> Any:
        """The socket's value under the input's own id, beside what it opens."""
        if name not in given:
            return ABSENT
        return {self.id: given[name]} | collect_all(self.inputs, given, f"{name}.")


class DynamicSlot(ComfyType, io_type="COMFY_DYNAMICSLOT_V3"):
    """A socket that opens further inputs."""

    Type = dict
    Input = _DynamicSlotInput


class _DynamicGroupInput(DynamicInput):
    """Rows of widgets: a list of dictionaries in `execute`."""

    KEYS = (*DynamicInput.KEYS, ("min", "min"), ("max", "max"), ("template", "template"))

    def __init__(
        self,
        id: str,
        inputs: Sequence[Input],
        min: int = 0,
        max: int = MAX_ROWS,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, **more)
        if not 0 <= min <= max <= MAX_ROWS:
            raise ValueError(f"input '{id}': a group has 0 <= min <= max <= {MAX_ROWS}")
        self.inputs = list(inputs)
        self.min = min
        self.max = max

    @property
    def template(self) -> dict[str, Any]:
        """The inputs of a row."""
        return {"input": sections(self.inputs)}

    def validate(self) -> None:
        """The ids of a row must differ."""
        super().validate()
        check_inputs(self.inputs, f"the rows of input '{self.id}'")

    def collect(self, name: str, given: Mapping[str, Any]) -> Any:
        """The rows up to the last one there is; what they lack is None."""
        rows = [collect_all(self.inputs, given, f"{name}.{i}.") for i in range(self.max)]
        while rows and not rows[-1]:
            rows.pop()
        empty = dict.fromkeys(declared.id for declared in self.inputs)
        return [empty | row for row in rows]


class DynamicGroup(ComfyType, io_type="COMFY_DYNAMICGROUP_V3"):
    """Rows of inputs."""

    Type = list
    Input = _DynamicGroupInput


class MatchTemplate:
    """Inputs and outputs with the same template have the same type."""

    def __init__(self, template_id: str, allowed_types: Any = "*") -> None:
        kinds = allowed_types if isinstance(allowed_types, list | tuple) else [allowed_types]
        self.template_id = template_id
        self.allowed_types = list(kinds)

    def as_dict(self) -> dict[str, Any]:
        """As in GET /object_info."""
        return {"template_id": self.template_id, "allowed_types": union(self.allowed_types)}


class _MatchInput(Input):
    KEYS = (*Input.KEYS, ("template", "template"))

    def __init__(
        self,
        id: str,
        template: MatchTemplate,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(id, display_name, optional, tooltip, lazy, extra_dict, **more)
        self.template = template


class _MatchOutput(Output):
    def __init__(
        self,
        template: MatchTemplate,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__(id, display_name, tooltip, is_output_list, **unknown)
        self.template = template

    @property
    def match_id(self) -> str | None:
        """The template whose type this output has."""
        return self.template.template_id


class MatchType(ComfyType, io_type="COMFY_MATCHTYPE_V3"):
    """Whatever type is linked, the same for all sockets of a template."""

    Template = MatchTemplate
    Input = _MatchInput
    Output = _MatchOutput


def check_inputs(inputs: Sequence[Input], where: str) -> None:
    """Raise ValueError if inputs cannot work together."""
    for declared in inputs:
        if not isinstance(declared, Input):
            raise ValueError(
                f"{where} declares {declared!r} as an input; write e.g. io.Int.Input('steps')"
            )
        declared.validate()
    check_unique((declared.id for declared in inputs), where)


def check_unique(names: Any, where: str) -> None:
    """Raise ValueError if a name comes twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{where} declares '{name}' twice; ids must be unique")
        seen.add(name)
