"""Checks the inputs of one node of a submitted graph against the rules of its class."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from executor import node_errors as errors
from executor.calls import CheckRequest
from executor.conversion import NotConvertible, convert, unwrap, wrap
from executor.file_options import INPUT_FILES
from executor.node_errors import JsonObject
from executor.rules import InputRule, NodeRules, RuleBook
from executor.type_match import equals, types_match


@dataclass(frozen=True, slots=True)
class Fault:
    """What makes every output that depends on a node invalid, beside the node's own errors."""

    exception_type: str
    text: str
    traceback: list[str] = field(default_factory=list)
    is_cycle: bool = False  # the nodes of a cycle have errors of their own


@dataclass(slots=True)
class NodeReport:
    """What is known of one node so far."""

    rules: NodeRules
    producers: list[str] = field(default_factory=list)  # nodes behind its declared inputs
    errors: list[JsonObject] = field(default_factory=list)
    fault: Fault | None = None
    request: CheckRequest | None = None  # to ask the class itself
    has_odd_number: bool = False  # a literal is NaN or infinite

    @property
    def is_good(self) -> bool:
        return not self.errors and self.fault is None


@dataclass(frozen=True, slots=True)
class Files:
    """The files that inputs may name."""

    names: Mapping[str, Sequence[str]]  # source -> sorted names
    has_file: Callable[[str, object], bool]  # for names that are not listed
    url_problem: Callable[[str, object], str | None] = lambda source, value: None  # of URLs


def check_node(node_id: str, graph: Mapping[str, Any], book: RuleBook, files: Files) -> NodeReport:
    """Check all declared inputs and convert the literals in place."""
    node = graph[node_id]
    report = NodeReport(rules=book[node["class_type"]])
    inputs = node.get("inputs")
    if not isinstance(inputs, dict):
        problem = "has no inputs" if inputs is None else "has inputs that are no object"
        kind = "KeyError" if inputs is None else "TypeError"
        report.fault = Fault(kind, f"node '{node_id}' {problem}")
        return report
    for later, name in report.rules.later_names.items():
        if later in inputs and name not in inputs:
            inputs[name] = inputs.pop(later)
    received: dict[str, Any] = {}  # input name -> type of the linked output
    for rule in report.rules.inputs_of(inputs):
        if rule.row is not None:
            bad = rule.row.bad_keys(rule.name, inputs)
            report.errors.extend(errors.invalid_dynamic_input(key) for key in bad)
        if rule.is_group:
            continue
        if rule.name not in inputs:
            if rule.is_required and report.rules.takes_old_prompts and "default" in rule.options:
                inputs[rule.name] = wrap(copy.deepcopy(rule.options["default"]))
            elif rule.is_required:
                report.errors.append(errors.required_input_missing(rule))
                continue
            else:
                continue
        value = inputs[rule.name]
        if isinstance(value, list):
            _check_link(node_id, rule, value, graph, book, report, received)
        else:
            _check_literal(rule, inputs, files, report)
    if report.rules.has_check:
        report.request = _request(node_id, report.rules, inputs, received)
    return report


def find_link(
    consumer: NodeReport, inputs: Mapping[str, Any], producer: str
) -> tuple[InputRule, list[Any]] | None:
    """The first declared input of a node that links to another one, and the link."""
    for rule in consumer.rules.inputs_of(inputs):
        value = inputs.get(rule.name)
        if isinstance(value, list) and len(value) == 2 and value[0] == producer:
            return rule, value
    return None


def _check_link(
    node_id: str,
    rule: InputRule,
    link: list[Any],
    graph: Mapping[str, Any],
    book: RuleBook,
    report: NodeReport,
    received: dict[str, Any],
) -> None:
    if len(link) != 2:
        report.errors.append(errors.bad_linked_input(rule, link))
        return
    producer_id, index = link
    where = f"input '{rule.name}' of node '{node_id}' is linked to"
    if not isinstance(producer_id, str) or producer_id not in graph:
        report.fault = Fault("KeyError", f"{where} node {producer_id!r}, which is not in the graph")
        return
    report.producers.append(producer_id)
    producer = book[graph[producer_id]["class_type"]]
    if isinstance(index, bool) or not isinstance(index, int):
        report.fault = Fault("TypeError", f"{where} output {index!r}, which is no whole number")
        return
    offered = producer.output(index)
    if offered is None:
        has = f"node '{producer_id}' has {len(producer.outputs)}"
        report.fault = Fault("IndexError", f"{where} output {index}, but {has}")
        return
    received[rule.name] = offered
    if not report.rules.check_takes_types and not _fits(offered, producer, rule, report.rules):
        report.errors.append(errors.return_type_mismatch(rule, offered, link))


def _fits(offered: Any, producer: NodeRules, rule: InputRule, rules: NodeRules) -> bool:
    if types_match(offered, rule.declared):
        return True
    if isinstance(offered, list) and rule.file_source is not None:
        return True  # names of files, as they were when the producer's class was loaded
    return equals(producer.equal_types, offered, rule.declared) or equals(
        rules.equal_types, rule.declared, offered
    )


def _check_literal(
    rule: InputRule, inputs: dict[str, Any], files: Files, report: NodeReport
) -> None:
    literal = unwrap(inputs[rule.name])
    try:
        literal = convert(literal, rule.declared)
    except NotConvertible as problem:
        report.errors.append(errors.invalid_input_type(rule, literal, str(problem)))
        return
    if isinstance(literal, float) and not math.isfinite(literal):
        report.has_odd_number = True
    inputs[rule.name] = wrap(literal)
    if rule.is_checked_by_class:
        return
    try:
        error = _out_of_bounds(rule, literal) or _not_a_choice(rule, literal, files)
    except TypeError as problem:  # such as text against a numeric bound
        report.fault = Fault("TypeError", f"input '{rule.name}': {problem}")
        return
    if error is not None:
        report.errors.append(error)


def _out_of_bounds(rule: InputRule, literal: Any) -> JsonObject | None:
    if rule.minimum is not None and literal < rule.minimum:
        return errors.value_smaller_than_min(rule, literal)
    if rule.maximum is not None and literal > rule.maximum:
        return errors.value_bigger_than_max(rule, literal)
    return None


def _not_a_choice(rule: InputRule, literal: Any, files: Files) -> JsonObject | None:
    if rule.file_source is not None:
        return _not_a_file(rule, rule.file_source, literal, files)
    if rule.choices is None:
        return None
    if isinstance(literal, list) and rule.is_multiple:
        is_fine = all(item in rule.choices for item in literal)
    else:
        is_fine = (isinstance(literal, str) and literal in rule.known) or literal in rule.choices
    return None if is_fine else errors.value_not_in_list(rule, literal, rule.choices)


def _not_a_file(rule: InputRule, source: str, literal: Any, files: Files) -> JsonObject | None:
    choices = [*files.names.get(source, ()), *(rule.choices or ())]
    if literal in choices or files.has_file(source, literal):
        return None
    kind = INPUT_FILES.get(source)
    if kind is not None:
        problem = files.url_problem(source, literal)
        text = f"Invalid {kind.word} file: {literal if problem is None else problem}"
        return errors.custom_validation_failed(rule.name, text)
    return errors.value_not_in_list(rule, literal, choices)


def _request(
    node_id: str, rules: NodeRules, inputs: Mapping[str, Any], received: Mapping[str, Any]
) -> CheckRequest:
    """What the class's own check is called with: no absent inputs, None for linked ones."""
    given = {
        rule.name: None if isinstance(value := inputs[rule.name], list) else unwrap(value)
        for rule in rules.inputs_of(inputs)
        if rule.name in inputs
    }
    hidden = {name: _hidden(kind, node_id) for name, kind in rules.hidden.items()}
    if not rules.is_v3:
        given |= hidden
    if not rules.check_takes_all:
        # A dynamic input that the check names comes with its parts.
        given = {
            name: value
            for name, value in given.items()
            if name in rules.check_takes or name.partition(".")[0] in rules.check_takes
        }
    if rules.check_takes_types:
        given["input_types"] = dict(received)
    return CheckRequest(
        class_type=rules.class_type, inputs=given, hidden=hidden if rules.is_v3 else {}
    )


def _hidden(kind: Any, node_id: str) -> Any:
    """The value of a hidden input at a time when nothing runs yet."""
    name = kind[0] if isinstance(kind, list | tuple) and kind else kind
    return {"PROMPT": {}, "UNIQUE_ID": node_id}.get(name) if isinstance(name, str) else None
