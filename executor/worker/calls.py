"""How one node is called: mapping over lists, and what its returned values mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final, TypeAlias

from executor.worker.contract import Contract
from executor.worker.errors import ResultError
from executor.worker.graph import is_link
from nodes.blocker import ExecutionBlocker

MOST_SHOWN: Final = 1_000_000  # items of one list that a node shows

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
    if not isinstance(returned, dict):
        return CallResult(values=_values(returned, contract))
    values = returned.get("result", ())
    if isinstance(values, ExecutionBlocker):
        values = [values] * contract.output_count
    ui = returned.get("ui")
    if ui is not None:
        _check_ui(ui, contract)
    values = _values(values, contract)
    return CallResult(values=values, ui=ui, expand=returned.get("expand"))


def _values(returned: Any, contract: Contract) -> Sequence[Any]:
    """Output values by position; fewer than declared are fine."""
    if returned is None and not contract.output_count:
        return ()
    if not isinstance(returned, Sequence):
        raise ResultError(
            f"{contract.name}.{contract.function} returned {type(returned).__name__}; "
            f"a node returns a tuple of its {contract.output_count} outputs"
        )
    return returned


def _check_ui(ui: Any, contract: Contract) -> None:
    if not isinstance(ui, Mapping):
        raise ResultError(
            f"the ui of {contract.name} is {type(ui).__name__}; it must be a dict of lists"
        )
    for key, values in ui.items():
        if not isinstance(values, Iterable):
            raise ResultError(
                f"the ui of {contract.name} has {type(values).__name__} for '{key}'; "
                "it must be a dict of lists"
            )


def merge_outputs(
    results: Sequence[CallResult], contract: Contract, *, at_least: int = 0
) -> list[list[Any]]:
    """Per output the values of all calls in order; list outputs are joined."""
    count = max((len(result.values) for result in results), default=contract.output_count)
    merged: list[list[Any]] = [[] for _ in range(max(count, at_least))]
    for result in results:
        for index, values in enumerate(merged):
            value = result.values[index] if index < len(result.values) else None
            if index < len(contract.output_is_list) and contract.output_is_list[index]:
                values.extend(_as_values(value, index, contract))
            else:
                values.append(value)
    return merged


def _as_values(value: Any, index: int, contract: Contract) -> Iterable[Any]:
    if isinstance(value, ExecutionBlocker):
        return (value,)
    if value is None:
        return ()
    if not isinstance(value, Iterable):
        raise ResultError(
            f"{contract.name}.{contract.function} returned {type(value).__name__} for output "
            f"{index}, which is declared as a list"
        )
    return value


def merge_ui(results: Sequence[CallResult]) -> dict[str, list[Any]] | None:
    """The joined lists of all calls, for the keys of the first that shows something."""
    shown = [result.ui for result in results if result.ui is not None]
    if not shown:
        return None
    return {key: _joined(key, [ui.get(key, ()) for ui in shown]) for key in shown[0]}


def _joined(key: str, values: Iterable[Iterable[Any]]) -> list[Any]:
    items = list(islice(chain.from_iterable(values), MOST_SHOWN + 1))
    if len(items) > MOST_SHOWN:  # a generator may have no end
        raise ResultError(f"the ui of the node has more than {MOST_SHOWN:,} items for '{key}'")
    return items


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
    count = max(len(result.values) for result in results)
    merged: list[list[Any]] = [[] for _ in range(count)]
    for result in results:
        if result.expand is None:
            links: dict[int, Any] = {}
        else:
            links = {i: value for i, value in enumerate(result.values) if is_link(value)}
        plain = [None if i in links else value for i, value in enumerate(result.values)]
        own = merge_outputs([CallResult(values=plain)], contract, at_least=count)
        for index, values in enumerate(own):
            if index in links:
                producer, output = links[index]
                found = outputs[producer]
                values = found[int(output)] if int(output) < len(found) else [None]
            merged[index].extend(values)
    return merged
