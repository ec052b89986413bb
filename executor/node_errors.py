"""The errors of a submitted graph, in the form in which clients get them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from executor.loops import LoopError
from executor.named_files import NamedFile
from executor.rules import InputRule

JsonObject: TypeAlias = dict[str, Any]

MANY_CHOICES = 20  # longer lists are not shown


def node_error(kind: str, message: str, details: str, extra_info: JsonObject) -> JsonObject:
    """One error; `kind` is what clients know it by."""
    return {"type": kind, "message": message, "details": details, "extra_info": extra_info}


def required_input_missing(rule: InputRule) -> JsonObject:
    """A required input is not there."""
    return node_error(
        "required_input_missing",
        "Required input is missing",
        rule.short_name,
        {"input_name": rule.name},
    )


def bad_linked_input(rule: InputRule, value: Any) -> JsonObject:
    """A list that is no link."""
    return node_error(
        "bad_linked_input",
        "A list is read as a link and must have the form [node id, output index]; "
        'write {"__value__": [...]} for a list as such',
        rule.name,
        _about(rule, value),
    )


def return_type_mismatch(rule: InputRule, received: Any, link: list[Any]) -> JsonObject:
    """The linked output is of another type."""
    return node_error(
        "return_type_mismatch",
        "The linked output has another type than the input takes",
        f"{rule.name}, received_type({received}) mismatch input_type({rule.declared})",
        {
            "input_name": rule.name,
            "input_config": rule.config,
            "received_type": received,
            "linked_node": link,
        },
    )


def invalid_input_type(rule: InputRule, value: Any, reason: str) -> JsonObject:
    """The literal cannot be converted."""
    return node_error(
        "invalid_input_type",
        f"The value cannot be read as {rule.declared}",
        f"{rule.name}, {value}, {reason}",
        _about(rule, value) | {"exception_message": reason},
    )


def invalid_dynamic_input(input_name: str) -> JsonObject:
    """A key that belongs to a group of inputs, but to no row and field of it."""
    return node_error(
        "invalid_dynamic_input",
        "The group of inputs has no such row or field",
        input_name,
        {"input_name": input_name},
    )


def value_smaller_than_min(rule: InputRule, value: Any) -> JsonObject:
    """The literal is below the bound."""
    return node_error(
        "value_smaller_than_min",
        f"The value {value} is smaller than the minimum of {rule.minimum}",
        rule.name,
        _about(rule, value),
    )


def value_bigger_than_max(rule: InputRule, value: Any) -> JsonObject:
    """The literal is above the bound."""
    return node_error(
        "value_bigger_than_max",
        f"The value {value} is bigger than the maximum of {rule.maximum}",
        rule.name,
        _about(rule, value),
    )


def value_not_in_list(rule: InputRule, value: Any, choices: list[Any]) -> JsonObject:
    """The literal is none of the choices."""
    are_many = len(choices) > MANY_CHOICES
    shown = f"(list of length {len(choices)})" if are_many else str(choices)
    declared = choices if rule.file_source or isinstance(rule.declared, list) else rule.declared
    return node_error(
        "value_not_in_list",
        "The value is not among the choices",
        f"{rule.name}: '{value}' not in {shown}",
        {
            "input_name": rule.name,
            "input_config": None if are_many else [declared, rule.options],
            "received_value": value,
        },
    )


def custom_validation_failed(input_name: str, text: str | None) -> JsonObject:
    """The class's own check refuses the input."""
    return node_error(
        "custom_validation_failed",
        "The node refuses this input",
        input_name if text is None else f"{input_name} - {text}",
        {"input_name": input_name},
    )


def loop_not_whole(error: LoopError) -> JsonObject:
    """A loop lacks its start or its end, or something leads out of it."""
    where = "loop boundary"
    about = {
        "input_name": where,
        "loop_error_type": error.kind,
        "node_ids": error.node_ids,
        "output_ids": error.output_ids,
    }
    return node_error(
        "custom_validation_failed", "The loop is not whole", f"{where} - {error}", about
    )


def refused_file(file: NamedFile, graph: Mapping[str, Any]) -> tuple[JsonObject, JsonObject]:
    """The errors of a graph that names a file of another owner: as if it were not there."""
    error = custom_validation_failed(file.input_name, f"Invalid file: {file.text}")
    node = {
        "errors": [error],
        "dependent_outputs": [],
        "class_type": graph[file.node_id].get("class_type"),
    }
    whole = node_error(
        "prompt_outputs_failed_validation",
        "No output of the prompt can be made",
        f"{error['message']}: {error['details']}",
        {},
    )
    return whole, {file.node_id: node}


def dependency_cycle(node_id: str, cycle_nodes: list[str]) -> JsonObject:
    """The node needs its own output."""
    return node_error(
        "dependency_cycle",
        "The node needs its own output",
        " -> ".join([cycle_nodes[-1], *cycle_nodes]),
        {"node_id": node_id, "cycle_nodes": cycle_nodes},
    )


def exception_during_inner_validation(
    rule: InputRule, link: list[Any], exception_type: str, text: str, traceback: list[str]
) -> JsonObject:
    """Something else is wrong with a node; filed under it, told from the input that links to it."""
    return node_error(
        "exception_during_inner_validation",
        "This node cannot be checked",
        text,
        {
            "input_name": rule.name,
            "input_config": rule.config,
            "exception_message": text,
            "exception_type": exception_type,
            "traceback": traceback,
            "linked_node": link,
        },
    )


def exception_during_validation(exception_type: str, text: str, traceback: list[str]) -> JsonObject:
    """Something else is wrong with what an output needs; filed under the output."""
    return node_error(
        "exception_during_validation",
        "The graph behind this output cannot be checked",
        text,
        {"exception_type": exception_type, "traceback": traceback},
    )


def _about(rule: InputRule, value: Any) -> JsonObject:
    return {"input_name": rule.name, "input_config": rule.config, "received_value": value}
