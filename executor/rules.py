"""What validation needs of each node class, worked out once per class from its definition."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from executor.definitions import NodeDefinition
from executor.file_options import INPUT_FILES

# Types of inputs that bring others along, which have dotted names: `images.image0`.
_GROWING: Final = "COMFY_AUTOGROW_V3"
_GROUP: Final = "COMFY_DYNAMICGROUP_V3"
_SLOT: Final = "COMFY_DYNAMICSLOT_V3"
_DYNAMIC_COMBO: Final = "COMFY_DYNAMICCOMBO_V3"

_ROW = re.compile(r"0|[1-9][0-9]?")


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRule:
    """One declared input."""

    name: str  # full name, as in the graph
    declared: Any  # type: a string or a list of options
    options: dict[str, Any]  # as declared, {} if none are
    is_required: bool
    is_checked_by_class: bool  # bounds and choices are left to the class's own check
    is_part: bool = False  # of a dynamic input: its name is `<input>.<part>`
    minimum: Any = None
    maximum: Any = None
    choices: list[Any] | None = None  # without files
    known: frozenset[Any] = frozenset()  # the choices, for a quick look
    is_multiple: bool = False  # a list of choices is fine
    file_source: str | None = None  # see NodeDefinition.file_options
    branches: Mapping[str, tuple[InputRule, ...]] | None = None  # dynamic combo: key -> inputs
    members: tuple[InputRule, ...] | None = None  # growing input: those that may be there
    opened: tuple[InputRule, ...] | None = None  # slot: what a link to it brings along
    row: Group | None = None  # rows of inputs

    @property
    def config(self) -> list[Any]:
        """`input_config` of error messages."""
        return [self.declared, self.options]

    @property
    def short_name(self) -> str:
        """Without the dynamic input that it is a part of."""
        return self.name.rpartition(".")[2] if self.is_part else self.name

    @property
    def is_dynamic(self) -> bool:
        return not (
            self.branches is None
            and self.members is None
            and self.opened is None
            and self.row is None
        )

    @property
    def is_group(self) -> bool:
        """Whether it is in the graph only as its parts."""
        return self.members is not None or self.row is not None

    def is_unknown_choice(self, given: Mapping[str, Any]) -> bool:
        """Whether this is a choice that the class does not have: such an input disappears."""
        chosen = given.get(self.name)
        return (
            self.branches is not None
            and self.name in given
            and not isinstance(chosen, list)
            and not (isinstance(chosen, str) and chosen in self.branches)
        )

    def parts(self, given: Mapping[str, Any]) -> list[InputRule]:
        """The inputs that a dynamic one brings along, by what the graph gives."""
        if self.branches is not None:
            return self._branch(given.get(self.name))
        if self.members is not None:
            return [rule for rule in self.members if rule.is_required or rule.name in given]
        if self.opened is not None:
            return list(self.opened) if self.name in given else []
        return self.row.parts(self.name, given) if self.row is not None else []

    def _branch(self, chosen: Any) -> list[InputRule]:
        """What a choice opens; if it comes from another node, what any choice may open."""
        assert self.branches is not None
        if isinstance(chosen, list):
            every = {rule.name: rule for rules in self.branches.values() for rule in rules}
            return [dataclasses.replace(rule, is_required=False) for rule in every.values()]
        return list(self.branches.get(chosen, ())) if isinstance(chosen, str) else []


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The rows of a group: `<group>.<row>.<field>` in a graph."""

    fields: Mapping[str, InputRule]  # by the last part of their names
    minimum: int  # rows
    maximum: int

    def parts(self, name: str, given: Mapping[str, Any]) -> list[InputRule]:
        """The fields of all rows that are there, and of those that must be."""
        rows = {row for key in given if (row := self._row(name, key)) is not None}
        return [
            dataclasses.replace(rule, name=f"{name}.{row}.{field}")
            for row in sorted(rows | set(range(self.minimum)))
            for field, rule in self.fields.items()
        ]

    def bad_keys(self, name: str, given: Mapping[str, Any]) -> list[str]:
        """The keys of the graph that belong to the group but name no field of a row."""
        return [key for key in given if key.startswith(f"{name}.") and self._row(name, key) is None]

    def _row(self, name: str, key: str) -> int | None:
        if not key.startswith(f"{name}."):
            return None
        row, _, field = key[len(name) + 1 :].partition(".")
        if not _ROW.fullmatch(row) or int(row) >= self.maximum or field not in self.fields:
            return None
        return int(row)


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeRules:
    """One node class."""

    class_type: str
    is_output: bool
    outputs: tuple[Any, ...]  # declared types
    inputs: tuple[InputRule, ...]  # in order of declaration
    has_check: bool
    check_takes: frozenset[str]  # names that its signature asks for
    check_takes_all: bool
    check_takes_types: bool  # which also switches off the type check of links
    hidden: Mapping[str, Any]  # name -> what it is, such as UNIQUE_ID
    is_v3: bool  # hidden inputs are no arguments
    equal_types: Mapping[str, list[str]] = dataclasses.field(default_factory=dict)
    takes_old_prompts: bool = False  # absent required inputs take their defaults
    later_names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    further_output: Any = None  # type of outputs beyond those declared

    def output(self, index: int) -> Any:
        """The type of an output; None if there is no such output."""
        if index < 0:
            return None
        return self.outputs[index] if index < len(self.outputs) else self.further_output

    def inputs_of(self, given: Mapping[str, Any]) -> tuple[InputRule, ...]:
        """The inputs to look at; the parts of dynamic ones depend on what the graph gives."""
        return expand_rules(self.inputs, given)


def expand_rules(rules: tuple[InputRule, ...], given: Mapping[str, Any]) -> tuple[InputRule, ...]:
    """Rules with the parts of dynamic inputs, by what the graph gives."""
    if not any(rule.is_dynamic for rule in rules):
        return rules
    expanded: list[InputRule] = []
    waiting = list(reversed(rules))
    while waiting:
        rule = waiting.pop()
        if rule.is_unknown_choice(given):
            continue
        expanded.append(rule)
        if rule.is_dynamic:
            waiting.extend(reversed(rule.parts(given)))
    return tuple(expanded)


class RuleBook(Mapping[str, NodeRules]):
    """The rules of all known classes, worked out when they are first needed."""

    def __init__(self, definitions: Mapping[str, NodeDefinition]) -> None:
        self._definitions = definitions
        self._rules: dict[str, NodeRules] = {}

    def __getitem__(self, class_type: str) -> NodeRules:
        rules = self._rules.get(class_type)
        if rules is None:
            rules = self._rules[class_type] = node_rules(self._definitions[class_type])
        return rules

    def __iter__(self) -> Iterator[str]:
        return iter(self._definitions)

    def __len__(self) -> int:
        return len(self._definitions)


def node_rules(definition: NodeDefinition) -> NodeRules:
    """Work out the rules of one class.

    A check of nothing but input files is left out: whether these are there is seen from here as
    well, and needs no worker.
    """
    check = definition.check
    if check and check.arguments and not check.takes_all:
        files = {k for k, source in definition.file_options.items() if source in INPUT_FILES}
        if files >= set(check.arguments):
            check = None
    takes = frozenset(check.arguments) if check else frozenset()
    takes_all = check is not None and check.takes_all
    sections = definition.info["input"]
    return NodeRules(
        class_type=definition.name,
        is_output=definition.is_output,
        outputs=tuple(definition.info["output"]),
        inputs=input_rules(
            sections,
            is_checked=lambda name: takes_all or name in takes,
            file_options=definition.file_options,
        ),
        has_check=check is not None,
        check_takes=takes,
        check_takes_all=takes_all,
        check_takes_types="input_types" in takes,
        hidden=dict(sections.get("hidden") or {}),
        is_v3="output_matchtypes" in definition.info,
        equal_types=definition.equal_types,
        takes_old_prompts=definition.takes_old_prompts,
        later_names=definition.later_names,
        further_output=definition.further_output,
    )


def input_rules(
    sections: Mapping[str, Any],
    *,
    is_checked: Callable[[str], bool] = lambda name: False,
    file_options: Mapping[str, str] | None = None,
) -> tuple[InputRule, ...]:
    """The rules of declared inputs; `is_checked` says which the class itself checks."""
    return tuple(
        _input_rule(
            name,
            declared,
            is_required=section == "required",
            is_checked_by_class=is_checked(name),
            file_source=(file_options or {}).get(name),
        )
        for section in ("required", "optional")
        for name, declared in (sections.get(section) or {}).items()
    )


def _input_rule(
    name: str,
    declared: Any,
    *,
    is_required: bool,
    is_checked_by_class: bool,
    file_source: str | None = None,
) -> InputRule:
    kind = declared[0]
    options = declared[1] if len(declared) > 1 and isinstance(declared[1], dict) else {}
    choices = kind if isinstance(kind, list) else None
    if kind == "COMBO" and isinstance(options.get("options"), list):
        choices = options["options"]
    if options.get("remote") or options.get("remote_combo"):
        choices = None  # they are fetched by clients, and not known here
    rule = InputRule(
        name=name,
        declared=kind,
        options=options,
        is_required=is_required,
        is_checked_by_class=is_checked_by_class,
        minimum=options.get("min"),
        maximum=options.get("max"),
        choices=choices,
        known=frozenset(choice for choice in choices or () if isinstance(choice, str)),
        is_multiple=bool(options.get("multiselect") or options.get("multi_select")),
        file_source=file_source,
    )
    if kind == _DYNAMIC_COMBO:
        return dataclasses.replace(rule, branches=_branches(rule))
    if kind == _SLOT:
        opened = tuple(_parts(rule, options.get("inputs") or {}))
        return dataclasses.replace(rule, declared=options.get("slotType", "*"), opened=opened)
    if kind == _GROWING:
        return _growing(rule)
    return _rows(rule) if kind == _GROUP else rule


def _branches(rule: InputRule) -> dict[str, tuple[InputRule, ...]]:
    return {
        option["key"]: tuple(_parts(rule, option.get("inputs") or {}))
        for option in rule.options.get("options", ())
    }


def _growing(rule: InputRule) -> InputRule:
    """`images` grows `images.image0`, `images.image1`, ...; itself it is not in the graph."""
    template = rule.options.get("template") or {}
    element = next(_parts(rule, template.get("input") or {}), None)
    names = template.get("names")
    if names is None:
        names = [f"{template.get('prefix', '')}{i}" for i in range(template.get("max", 0))]
    needed = template.get("min", 0) if element is not None and element.is_required else 0
    members = tuple(
        dataclasses.replace(element, name=f"{rule.name}.{name}", is_required=i < needed)
        for i, name in enumerate(names)
        if element is not None
    )
    return dataclasses.replace(rule, is_required=False, members=members)


def _rows(rule: InputRule) -> InputRule:
    template = rule.options.get("template") or {}
    fields = {
        part.name[len(rule.name) + 1 :]: part for part in _parts(rule, template.get("input") or {})
    }
    row = Group(
        fields=fields, minimum=rule.options.get("min", 0), maximum=rule.options.get("max", 0)
    )
    return dataclasses.replace(rule, is_required=False, minimum=None, maximum=None, row=row)


def _parts(rule: InputRule, sections: Mapping[str, Any]) -> Iterator[InputRule]:
    for section in ("required", "optional"):
        for inner, declared in (sections.get(section) or {}).items():
            part = _input_rule(
                f"{rule.name}.{inner}",
                declared,
                is_required=section == "required",
                is_checked_by_class=rule.is_checked_by_class,
            )
            yield dataclasses.replace(part, is_part=True)
