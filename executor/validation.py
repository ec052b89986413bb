"""Checks a submitted graph against the node definitions, before it is queued."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from executor import json_text
from executor.calls import CheckResult, ClassChecker
from executor.loops import END, START, LoopGraph
from executor.node_check import Fault, Files, NodeReport, check_node, find_link
from executor.node_errors import (
    JsonObject,
    custom_validation_failed,
    dependency_cycle,
    exception_during_inner_validation,
    exception_during_validation,
    loop_not_whole,
    node_error,
)
from executor.options import FileOptions
from executor.rules import RuleBook

BIG_GRAPH: Final = 300  # nodes; larger graphs are checked in a thread
NAMED_NODES: Final = 1000  # nodes whose errors are told
NAMED_OUTPUTS: Final = 1000  # outputs that are listed for one bad node
NAMED_IN_ALL: Final = 100_000  # ... and for all bad nodes of a graph, apart from one for each
NAMED_CYCLES: Final = 10  # cycles whose nodes are named
LONG_CYCLE: Final = 100  # nodes of a cycle that are named at most

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class ValidatedPrompt:
    """A graph that can run, at least in part."""

    prompt: dict[str, Any]  # the submitted graph with converted literals; key order kept
    outputs: tuple[str, ...]  # ids of the good output nodes, in graph order
    node_errors: dict[str, Any]  # the failed part, as in the answer to POST /prompt
    has_odd_numbers: bool = False  # NaN or infinity, which text converts to

    def encode(self) -> bytes:
        """The graph as JSON text, for `Job.prompt`."""
        return json_text.encode(self.prompt, has_odd_numbers=self.has_odd_numbers)


class PromptRejected(Exception):
    """Nothing of the graph can run; `error` and `node_errors` are those of the 400 answer."""

    def __init__(self, error: dict[str, Any], node_errors: dict[str, Any] | None = None) -> None:
        super().__init__(error["message"])
        self.error = error
        self.node_errors = node_errors or {}


async def validate_prompt(
    prompt: object,
    book: RuleBook,
    *,
    options: FileOptions,
    check: ClassChecker,
    targets: Collection[str] | None = None,
) -> ValidatedPrompt:
    """Validate a graph as parsed from JSON; raises PromptRejected.

    `targets` are the `partial_execution_targets`. The graph handed in is changed: literals are
    converted in place; list literals stay wrapped as `{"__value__": [...]}`, so that nothing later
    takes them for links. `check` is awaited at most once, and only if a node's class has a check.
    """
    is_big = isinstance(prompt, dict) and len(prompt) > BIG_GRAPH

    def look() -> tuple[dict[str, Any], list[str], set[str]]:
        graph = _graph(prompt, book)
        return graph, _outputs(graph, book, targets), _file_sources(graph, book)

    graph, outputs, sources = await _call(look, in_thread=is_big)

    def walk() -> _Walk:
        files = Files(options.snapshot(sources), options.has_file, options.url_problem)
        return _Walk(graph, book, files, outputs)

    walked = await _call(walk, in_thread=is_big or bool(sources))
    await _ask_classes(walked, check)
    return await _call(walked.conclude, in_thread=is_big)


async def _call(function: Callable[[], Result], *, in_thread: bool) -> Result:
    return await asyncio.to_thread(function) if in_thread else function()


def _file_sources(graph: Mapping[str, Any], book: RuleBook) -> set[str]:
    return {
        rule.file_source
        for class_type in {node["class_type"] for node in graph.values()}
        for rule in book[class_type].inputs
        if rule.file_source is not None
    }


def _graph(prompt: object, book: RuleBook) -> dict[str, Any]:
    if prompt == []:
        prompt = {}
    if not isinstance(prompt, dict):
        raise PromptRejected(
            node_error("invalid_prompt", "The prompt must be an object of nodes by id", "", {})
        )
    for node_id, node in prompt.items():
        if not isinstance(node, dict):
            problem = "A node must be an object"
        elif "class_type" not in node:
            problem = "A node has no class_type"
        elif not isinstance(node["class_type"], str) or node["class_type"] not in book:
            problem = f"There is no node class '{node['class_type']}'; is a node pack missing?"
        else:
            continue
        about = _about_unknown(node_id, node)
        raise PromptRejected(node_error("invalid_prompt", problem, f"Node ID '#{node_id}'", about))
    return prompt


def _about_unknown(node_id: str, node: object) -> JsonObject:
    """What a dialog about a missing class shows: later releases send it with the error."""
    known = node if isinstance(node, dict) else {}
    meta = known.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else None
    return {"node_id": node_id, "class_type": known.get("class_type"), "node_title": title}


def _outputs(
    graph: Mapping[str, Any], book: RuleBook, targets: Collection[str] | None
) -> list[str]:
    wanted = None if targets is None else frozenset(targets)
    outputs = [
        node_id
        for node_id, node in graph.items()
        if book[node["class_type"]].is_output and (wanted is None or node_id in wanted)
    ]
    if not outputs:
        raise PromptRejected(
            node_error("prompt_no_outputs", "The prompt has no outputs to run", "", {})
        )
    return outputs


async def _ask_classes(walked: _Walk, check: ClassChecker) -> None:
    asked = [report for report in walked.reports.values() if report.request is not None]
    if not asked:
        return
    requests = [report.request for report in asked if report.request is not None]
    for report, result in zip(asked, await check(requests), strict=True):
        _take_result(report, result)


def _take_result(report: NodeReport, result: CheckResult) -> None:
    if result.ok:
        return
    if result.exception_type is not None:
        text = result.exception_message or ""
        report.fault = report.fault or Fault(result.exception_type, text, result.traceback)
        return
    assert report.request is not None
    for name in report.request.inputs or [""]:  # a check that takes no input counts as well
        report.errors.append(custom_validation_failed(name, result.text))


class _Walk:
    """All nodes that the outputs reach, each checked once, without recursion."""

    def __init__(
        self, graph: dict[str, Any], book: RuleBook, files: Files, outputs: list[str]
    ) -> None:
        self._graph = graph
        self._outputs = outputs
        self.reports: dict[str, NodeReport] = {}
        self._order: list[str] = []  # producers before consumers
        self._cycles = 0
        for output in outputs:
            if output not in self.reports:
                self._visit(output, book, files)
        if not self._cycles:
            self._check_loops()

    def _check_loops(self) -> None:
        """Name the ends of loops that are not whole."""
        boundaries = (START, END)
        if not any(self._graph[node_id]["class_type"] in boundaries for node_id in self.reports):
            return

        def edges(node_id: str) -> list[tuple[str, str]]:
            inputs = self._graph[node_id].get("inputs")
            links = inputs.items() if isinstance(inputs, dict) else ()
            producers = self.reports[node_id].producers
            return [
                (name, value[0])
                for name, value in links
                if isinstance(value, list) and value and value[0] in producers
            ]

        loops = LoopGraph(self.reports, lambda x: self._graph[x]["class_type"], edges)
        for error in loops.errors(self._outputs):
            self.reports[error.node_ids[0]].errors.append(loop_not_whole(error))

    def _visit(self, start: str, book: RuleBook, files: Files) -> None:
        """Depth first from one output; finds cycles on the way."""
        path: dict[str, None] = {}  # the nodes from the output to the current one
        waiting = [(start, False)]
        while waiting:
            node_id, is_done = waiting.pop()
            if is_done:
                del path[node_id]
                self._order.append(node_id)
                continue
            if node_id in self.reports:
                continue
            report = check_node(node_id, self._graph, book, files)
            self.reports[node_id] = report
            path[node_id] = None
            waiting.append((node_id, True))
            for producer in reversed(report.producers):
                if producer in path:
                    self._found_cycle(report, path, producer)
                elif producer not in self.reports:
                    waiting.append((producer, False))

    def _found_cycle(self, report: NodeReport, path: Mapping[str, None], first: str) -> None:
        """Name the nodes of a cycle, each as bad; where there are very many, only some."""
        self._cycles += 1
        ring: list[str] = []
        if self._cycles <= NAMED_CYCLES:
            nodes = list(path)
            ring = nodes[nodes.index(first) :][::-1]
        is_short = 0 < len(ring) <= LONG_CYCLE
        named = ring if is_short else [*ring[: LONG_CYCLE // 2], "...", *ring[-LONG_CYCLE // 2 :]]
        text = f"the nodes {' -> '.join([first, *named])} form a cycle"
        report.fault = Fault("DependencyCycleError", text, is_cycle=True)
        for node_id in ring[:LONG_CYCLE]:
            self.reports[node_id].errors.append(dependency_cycle(node_id, named))

    def conclude(self) -> ValidatedPrompt:
        """Carry what is bad from producers to consumers, and say what can run."""
        faults: dict[str, Fault] = {}
        good: dict[str, bool] = {}
        for node_id in self._order:
            report = self.reports[node_id]
            good[node_id] = report.is_good and all(good.get(p, False) for p in report.producers)
            if not good[node_id]:
                behind = [faults[p] for p in report.producers if p in faults]
                fault = report.fault or (behind[0] if behind else None)
                if fault is not None:
                    faults[node_id] = fault
        self._file_inner_faults()
        failed = [output for output in self._outputs if not good[output]]
        for output in failed:
            if (fault := faults.get(output)) is not None:
                self.reports[output].errors.append(
                    exception_during_validation(fault.exception_type, fault.text, fault.traceback)
                )
        node_errors = self._node_errors(failed, good)
        if len(failed) == len(self._outputs):
            raise PromptRejected(self._all_failed(failed), node_errors)
        outputs = tuple(output for output in self._outputs if good[output])
        return ValidatedPrompt(
            prompt=self._graph,
            outputs=outputs,
            node_errors=node_errors,
            has_odd_numbers=any(report.has_odd_number for report in self.reports.values()),
        )

    def _file_inner_faults(self) -> None:
        """Name the nodes upstream that cannot be checked; what depends on them only says so."""
        chosen = frozenset(self._outputs)
        faulty = {
            node_id: report.fault
            for node_id, report in self.reports.items()
            if report.fault is not None and not report.fault.is_cycle and node_id not in chosen
        }
        for node_id in self._order if faulty else ():
            consumer = self.reports[node_id]
            for producer in consumer.producers:
                fault = faulty.get(producer)
                if fault is None:
                    continue
                found = find_link(consumer, self._graph[node_id]["inputs"], producer)
                if found is None:
                    continue
                del faulty[producer]
                rule, link = found
                error = exception_during_inner_validation(
                    rule, link, fault.exception_type, fault.text, fault.traceback
                )
                self.reports[producer].errors.append(error)

    def _node_errors(self, failed: list[str], good: Mapping[str, bool]) -> dict[str, Any]:
        dependents = self._dependents(failed, good)
        named = (node_id for node_id in self._graph if node_id in dependents)
        return {
            node_id: {
                "errors": self.reports[node_id].errors,
                "dependent_outputs": dependents[node_id],
                "class_type": self._graph[node_id]["class_type"],
            }
            for node_id in islice(named, NAMED_NODES)
        }

    def _dependents(self, failed: list[str], good: Mapping[str, bool]) -> dict[str, list[str]]:
        """The failed outputs that depend on each node with errors; of very many only some."""
        if not failed:
            return {}
        bad = sum(1 for report in self.reports.values() if report.errors)
        limit = min(NAMED_OUTPUTS, max(1, NAMED_IN_ALL // max(1, bad)))
        ranks: dict[str, list[int]] = {output: [i] for i, output in enumerate(failed)}
        found: dict[str, list[str]] = {}
        for node_id in reversed(self._order):  # consumers before producers
            mine = ranks.pop(node_id, [])
            report = self.reports[node_id]
            if report.errors:
                found[node_id] = [failed[rank] for rank in mine]
            for producer in report.producers:
                if not good.get(producer, False):
                    ranks[producer] = _merged(ranks.get(producer, []), mine, limit)
        return found

    def _all_failed(self, failed: list[str]) -> JsonObject:
        lines = [
            f"{error['message']}: {error['details']}"
            for output in failed[:NAMED_NODES]
            for error in self.reports[output].errors
        ]
        return node_error(
            "prompt_outputs_failed_validation",
            "No output of the prompt can be made",
            "\n".join(lines),
            {},
        )


def _merged(some: list[int], more: list[int], limit: int) -> list[int]:
    """The lowest numbers of two sorted lists, each once."""
    if not some or not more or some is more:
        return some or more
    return sorted({*some, *more})[:limit]
