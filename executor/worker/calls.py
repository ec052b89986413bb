"""How one node is called: mapping over lists, and what its returned values mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from executor.worker.contract import Contract
from executor.worker.errors import ResultError
from executor.worker.graph import is_link
from nodes.blocker import ExecutionBlocker

Arguments: TypeAlias = dict[str, Sequence[Any]]  # input -> its values


@dataclass(frozen=True, kw_only=True, slots=True)
class CallResult:
    """What one call gave."""

    values: Sequence[Any]  # per output; may hold links if the call expands
    ui: Mapping[str, Sequence[Any]] | None = None
    expand: Mapping[str, dict[str, Any]] | None = None


def call_arguments(arguments: Arguments, *, whole_lists: bool) -> Iterator[dict[str, Any]]:
    """The keyword arguments of each call.

    One call per index up to the longest list, shorter lists repeat their last value; a list
    without values leaves nothing to call. With `whole_lists` one call gets everything.
    """
    if whole_lists:
        yield {name: list(values) for name, values in arguments.items()}
        return
    lengths = [len(values) for values in arguments.values()]
    count = 0 if 0 in lengths else max(lengths, default=1)
    for index in range(count):
        yield {name: values[min(index, len(values) - 1)] for name, values in arguments.items()}


def blocker_among(kwargs: dict[str, Any], *, whole_lists: bool) -> ExecutionBlocker | None:
    """The blocker that keeps a call from being made."""
    for value in kwargs.values():
        for item in value if whole_lists else (value,):
            if isinstance(item, ExecutionBlocker):
                return item
    return None


def read_result(returned: Any, contract: Contract) -> CallResult:
    """What a node's method returned; raises ResultError if it is no result."""
    if isinstance(returned, ExecutionBlocker):
        return CallResult(values=[returned] * contract.output_count)
    if isinstance(returned, dict):
        values = returned.get("result", ())
        if isinstance(values, ExecutionBlocker):
            values = [values] * contract.output_count
        return CallResult(values=values, ui=returned.get("ui"), expand=returned.get("expand"))
    if returned is None and not contract.output_count:
        return CallResult(values=())
    if not isinstance(returned, Sequence):
        raise ResultError(
            f"{contract.name}.{contract.function} returned {type(returned).__name__}; "
            f"a node returns a tuple of its {contract.output_count} outputs"
        )
    return CallResult(values=returned)


def merge_outputs(results: Sequence[CallResult], contract: Contract) -> list[list[Any]]:
    """Per output the values of all calls in order; list outputs are joined."""
    count = max((len(result.values) for result in results), default=contract.output_count)
    merged: list[list[Any]] = [[] for _ in range(count)]
    for result in results:
        for index, values in enumerate(merged):
            value = result.values[index] if index < len(result.values) else None
            if index < len(contract.output_is_list) and contract.output_is_list[index]:
                values.extend(_as_values(value))
            else:
                values.append(value)
    return merged


def _as_values(value: Any) -> Sequence[Any]:
    if isinstance(value, ExecutionBlocker):
        return (value,)
    return () if value is None else value


def merge_ui(results: Sequence[CallResult]) -> dict[str, list[Any]] | None:
    """The joined lists of all calls, for the keys of the first that shows something."""
    shown = [result.ui for result in results if result.ui is not None]
    if not shown:
        return None
    return {key: [item for ui in shown for item in ui.get(key, ())] for key in shown[0]}


def result_links(results: Sequence[CallResult]) -> list[str]:
    """The ids of the nodes that the outputs of expanding calls come from."""
    return [
        value[0]
        for result in results
        if result.expand is not None
        for value in result.values
        if is_link(value)
    ]


def resolve_links(
    results: Sequence[CallResult], contract: Contract, outputs: Mapping[str, list[list[Any]]]
) -> list[list[Any]]:
    """As `merge_outputs`, with the links of expanding calls replaced by what they lead to."""
    merged: list[list[Any]] = []
    for result in results:
        plain = result
        if result.expand is not None:
            plain = CallResult(values=[None if is_link(x) else x for x in result.values])
        for index, values in enumerate(merge_outputs([plain], contract)):
            value = result.values[index]
            if plain is not result and is_link(value):
                found = outputs[value[0]]
                values = found[int(value[1])] if int(value[1]) < len(found) else [None]
            if index == len(merged):
                merged.append([])
            merged[index].extend(values)
    return merged
