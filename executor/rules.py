"""What validation needs of each node class, worked out once per class from its definition."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from executor.definitions import NodeDefinition
from executor.file_options import INPUT_IMAGES

# Inputs that appear in a graph only as parts with dotted names, such as `images.image0`.
_GROWING: Final = frozenset({"COMFY_AUTOGROW_V3", "COMFY_DYNAMICSLOT_V3"})
_DYNAMIC_COMBO: Final = "COMFY_DYNAMICCOMBO_V3"


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRule:
    """One declared input."""

    name: str  # full name, as in the graph
    declared: Any  # type: a string or a list of options
    options: dict[str, Any]  # as declared, {} if none are
    is_required: bool
    is_checked_by_class: bool  # bounds and choices are left to the class's own check
    minimum: Any = None
    maximum: Any = None
    choices: list[Any] | None = None  # without files
    known: frozenset[Any] = frozenset()  # the choices, for a quick look
    is_multiple: bool = False  # a list of choices is fine
    file_source: str | None = None  # see NodeDefinition.file_options
    branches: Mapping[str, tuple[InputRule, ...]] | None = None  # dynamic combo: key -> inputs
    element: InputRule | None = None  # growing input: the rule of each part
    needed_parts: tuple[str, ...] = ()  # growing input: full names of the parts that must be there

    @property
    def config(self) -> list[Any]:
        """`input_config` of error messages."""
        return [self.declared, self.options]

    @property
    def is_dynamic(self) -> bool:
        return self.branches is not None or self.element is not None

    def parts(self, given: Mapping[str, Any]) -> list[InputRule]:
        """The inputs that a dynamic one brings along, by what the graph gives."""
        if self.branches is not None:
            chosen = given.get(self.name)
            return list(self.branches.get(chosen, ())) if isinstance(chosen, str) else []
        if self.element is None:
            return []
        names = dict.fromkeys(self.needed_parts)
        names.update(dict.fromkeys(name for name in given if name.startswith(self.name + ".")))
        return [
            dataclasses.replace(self.element, name=name, is_required=name in self.needed_parts)
            for name in names
        ]


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

    def inputs_of(self, given: Mapping[str, Any]) -> tuple[InputRule, ...]:
        """The inputs to look at; the parts of dynamic ones depend on what the graph gives."""
        if not any(rule.is_dynamic for rule in self.inputs):
            return self.inputs
        rules: list[InputRule] = []
        waiting = list(reversed(self.inputs))
        while waiting:
            rule = waiting.pop()
            rules.append(rule)
            if rule.is_dynamic:
                waiting.extend(reversed(rule.parts(given)))
        return tuple(rules)


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

    A check of nothing but images is left out: whether these are there is seen from here as well,
    and needs no worker.
    """
    check = definition.check
    if check and not check.takes_all:
        images = {k for k, source in definition.file_options.items() if source == INPUT_IMAGES}
        if images >= set(check.arguments):
            check = None
    takes = frozenset(check.arguments) if check else frozenset()
    takes_all = check is not None and check.takes_all
    sections = definition.info["input"]
    rules: list[InputRule] = []
    for section in ("required", "optional"):
        for name, declared in (sections.get(section) or {}).items():
            rules.append(
                _input_rule(
                    name,
                    declared,
                    is_required=section == "required",
                    is_checked_by_class=takes_all or name in takes,
                    file_source=definition.file_options.get(name),
                )
            )
    return NodeRules(
        class_type=definition.name,
        is_output=definition.is_output,
        outputs=tuple(definition.info["output"]),
        inputs=tuple(rules),
        has_check=check is not None,
        check_takes=takes,
        check_takes_all=takes_all,
        check_takes_types="input_types" in takes,
        hidden=dict(sections.get("hidden") or {}),
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
        is_multiple=bool(options.get("multiselect")),
        file_source=file_source,
    )
    if kind == _DYNAMIC_COMBO:
        return dataclasses.replace(rule, branches=_branches(rule))
    if isinstance(kind, str) and kind in _GROWING:
        return _growing(rule)
    return rule


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
    return dataclasses.replace(
        rule,
        is_required=False,
        element=element,
        needed_parts=tuple(f"{rule.name}.{part}" for part in names[: template.get("min", 0)]),
    )


def _parts(rule: InputRule, sections: Mapping[str, Any]) -> Iterator[InputRule]:
    for section in ("required", "optional"):
        for inner, declared in (sections.get(section) or {}).items():
            yield _input_rule(
                f"{rule.name}.{inner}",
                declared,
                is_required=section == "required",
                is_checked_by_class=rule.is_checked_by_class,
            )
