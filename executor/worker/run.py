"""One run of one prompt: which nodes become pending, and what happens when one is picked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from executor.messages import Execute
from executor.worker.background import Background
from executor.worker.cache import NodeName, NodeResult, ResultCache, Scope, Slot, UiResult
from executor.worker.caller import Caller, Deferred
from executor.worker.calls import (
    Arguments,
    CallResult,
    merge_outputs,
    merge_ui,
    read_result,
    resolve_links,
    result_links,
)
from executor.worker.contract import Contract, Contracts
from executor.worker.errors import NodeInputError, UnknownNodeClass
from executor.worker.graph import PromptGraph, literal, producers
from executor.worker.keys import Keys
from executor.worker.outcome import Instances, Outcome
from executor.worker.reporting import RunReporter, plain_json
from executor.worker.schedule import Schedule
from executor.worker.tasks import ParkedTasks, collect, is_task
from nodes.context import Services


@dataclass(kw_only=True, slots=True)
class _Expansion:
    """A node that waits for the nodes it has added."""

    results: Sequence[CallResult]
    links: list[str]  # the nodes its outputs come from
    ui: UiResult | None


class Run:
    """Runs the nodes that the outputs need. Made anew for every prompt."""

    def __init__(
        self,
        command: Execute,
        graph: PromptGraph,
        reporter: RunReporter,
        *,
        contracts: Contracts,
        cache: ResultCache,
        instances: Instances,
        services: Services,
        free_memory: Callable[[], None] | None = None,
        most_pending_saves: int = 0,
    ) -> None:
        self.outcome = Outcome()
        self._command = command
        self._graph = graph
        self._reporter = reporter
        self._contracts = contracts
        self._cache = cache
        self._instances = instances
        self._tasks = ParkedTasks()
        self._background = Background(most_pending_saves)
        self._shown: dict[str, UiResult | None] = {}  # nodes that were shown in the background
        self._writing: dict[Slot, str] = {}  # nodes whose calls are made in the background
        self._caller = Caller(command, graph, reporter, self._tasks, services, free_memory)
        self._keys = Keys(graph, contracts, self._is_changed, command.owner)
        self._schedule = Schedule()
        # Async nodes: what their calls gave so far, and what they were called with.
        self._parked: dict[str, tuple[list[Any], Arguments]] = {}
        self._expansions: dict[str, _Expansion] = {}
        self._results: dict[str, NodeResult] = {}  # those that pending nodes use
        self._uses: Counter[str] = Counter()  # node id -> how many pending nodes use its result
        self._used_by: dict[str, list[str]] = {}  # pending node -> the nodes whose results it uses

    def prepare(self) -> list[str]:
        """Compute all keys, drop stale results; returns the ids that have a result already."""
        prompt = self._graph.get_original_prompt()
        for node_id in prompt:
            self.outcome.begin(node_id)
            self._contract(node_id)
        names = frozenset((node_id, node["class_type"]) for node_id, node in prompt.items())
        self._cache.begin([self._keys[node_id] for node_id in prompt], names)
        self._instances.begin(names if self._cache.keeps_objects else frozenset())
        return [node_id for node_id in prompt if self._cache.get(self._slot(node_id)) is not None]

    def execute(self) -> None:
        """Run until nothing is pending. Raises what a node raises, Interrupted, or EngineError."""
        wanted = frozenset(self._command.outputs)
        self._require([x for x in self._graph.get_original_prompt() if x in wanted])
        while len(self._schedule):
            node_id = self._schedule.pick()
            if node_id is None:
                self._wait()
            else:
                self._step(node_id)
            if len(self._tasks):
                self._tasks.turn()
                self._resume_done()
        self._show_intermediate()

    def close(self) -> None:
        """Cancel async nodes that still run; files that are being written are finished."""
        self._background.close()
        self._tasks.close()

    def _is_changed(self, node_id: str, contract: Contract) -> list[Any] | None:
        """What IS_CHANGED says; if it ends the run, this is the node where it ended."""
        if contract.is_changed is None:
            return None
        at_work = self.outcome.node_id, self.outcome.arguments
        self.outcome.begin(node_id)
        changed = self._caller.is_changed(node_id, contract)
        self.outcome.node_id, self.outcome.arguments = at_work
        return changed

    def _contract(self, node_id: str) -> Contract:
        class_type = self._graph.get_node(node_id).get("class_type")
        if not isinstance(class_type, str) or class_type not in self._contracts:
            raise UnknownNodeClass(class_type, node_id)
        return self._contracts[class_type]

    def _slot(self, node_id: str) -> Slot:
        parent = self._graph.get_parent_node_id(node_id)
        return (None if parent is None else self._scope(parent), self._keys[node_id])

    def _scope(self, parent: str) -> Scope:
        """Where the results of the nodes that a node has added are kept."""
        return (self._name(parent), self._root(parent))

    def _name(self, node_id: str) -> NodeName:
        return (node_id, self._graph.get_node(node_id)["class_type"])

    def _root(self, node_id: str) -> NodeName:
        return self._name(self._graph.get_real_node_id(node_id))

    def _require(self, node_ids: Iterable[str]) -> None:
        """Make nodes pending, with everything they need that has no result yet."""
        stack = list(node_ids)[::-1]
        entered: dict[str, list[str]] = {}
        while stack:
            node_id = stack.pop()
            if node_id in self._schedule:
                continue
            contract = self._contract(node_id)
            self._schedule.enter(
                node_id, is_output=contract.is_output, runs_early=contract.runs_early
            )
            missing = [] if self._recall(node_id) else self._use_inputs(node_id, contract)
            entered[node_id] = missing
            stack.extend(missing[::-1])
        for node_id, missing in entered.items():
            for producer in missing:
                self._schedule.wait_for(node_id, producer)
        for node_id in entered:
            self._schedule.offer(node_id)

    def _use_inputs(self, node_id: str, contract: Contract) -> list[str]:
        """Note whose results a node uses; returns those that must be made first."""
        links = self._graph.links(node_id)
        contract = contract.for_inputs(self._graph.get_node(node_id).get("inputs", {}))
        self._use(node_id, producers(links))
        needed = producers(link for link in links if link.name not in contract.lazy)
        return [producer for producer in needed if not self._recall(producer)]

    def _use(self, node_id: str, used: list[str]) -> None:
        self._used_by.setdefault(node_id, []).extend(used)
        for producer in used:
            self._uses[producer] += 1

    def _recall(self, node_id: str) -> bool:
        """Whether a node has a result: it ran, was cached, or an equal node has run."""
        if node_id in self._results:
            return True
        result = self._cache.get(self._slot(node_id))
        if result is None:
            return False
        self._results[node_id] = result
        return True

    def _wait_for(self, node_id: str, wanted: Iterable[str]) -> None:
        """Put a picked node back until other nodes are done."""
        missing = [producer for producer in dict.fromkeys(wanted) if not self._recall(producer)]
        self._require(missing)
        for producer in missing:
            self._schedule.wait_for(node_id, producer)
        self._schedule.offer(node_id)

    def _wait(self) -> None:
        """Nothing is ready: wait for async nodes, or find that nodes wait for each other."""
        if not len(self._tasks):
            error = self._schedule.cycle()
            self.outcome.begin(self._graph.get_display_node_id(error.node_ids[0]))
            raise error
        self._reporter.check_interrupted()
        self._tasks.wait()

    def _resume_done(self) -> None:
        for node_id in self._tasks.take_done():
            self._schedule.offer(node_id)

    def _step(self, node_id: str) -> None:
        self.outcome.begin(node_id)
        contract = self._contract(node_id)
        if node_id in self._parked:
            self._writing.pop(self._slot(node_id), None)
            returned, self.outcome.arguments = self._parked.pop(node_id)
            self._take(node_id, contract, returned)
        elif node_id in self._expansions:
            self._finish_expansion(node_id, contract)
        elif self._recall(node_id):
            self._show_cached(node_id)
        elif (twin := self._writing.get(self._slot(node_id))) is not None:
            self._schedule.wait_for(node_id, twin)  # its files will be those of this node, too
            self._schedule.offer(node_id)
        else:
            self._start(node_id, contract)

    def _show_cached(self, node_id: str) -> None:
        result = self._results[node_id]
        self._reporter.executed(node_id, result.ui.output if result.ui else None)
        self.outcome.show(node_id, result.ui)
        self._leave(node_id, result)

    def _show_intermediate(self) -> None:
        """Show again what nodes in the middle of the graph have shown, if they did not run."""
        for node_id in self._graph.get_original_prompt():
            if node_id in self.outcome.outputs or not self._contract(node_id).shows_when_cached:
                continue
            result = self._cache.get(self._slot(node_id))
            if result is not None and result.ui is not None:
                self._reporter.executed(node_id, result.ui.output)
                self.outcome.show(node_id, result.ui)

    def _start(self, node_id: str, contract: Contract) -> None:
        self._reporter.check_interrupted()
        self._reporter.executing(node_id)
        arguments, missing = self._arguments(node_id, contract)
        self.outcome.arguments = arguments
        node = self._instances.get(self._name(node_id), self._root(node_id), contract)
        if contract.lazy_function is not None:
            names = self._caller.lazy_wants(node_id, contract, node, arguments)
            wanted = [missing[name] for name in names if name in missing]
            if wanted:
                self._wait_for(node_id, wanted)
                return
        returned = self._caller.call(node_id, contract, node, arguments, self.outcome.executed)
        if contract.in_background:
            returned = self._begin_calls(node_id, contract, returned)
        tasks = [value for value in returned if is_task(value)]
        if tasks:
            self._tasks.turn()
        if all(task.done() for task in tasks):
            self._take(node_id, contract, returned)
        else:
            if contract.in_background:
                self._writing[self._slot(node_id)] = node_id
            self._parked[node_id] = returned, arguments
            self._tasks.park(node_id, tasks)

    def _begin_calls(self, node_id: str, contract: Contract, calls: list[Any]) -> list[Any]:
        """Have deferred calls made in the background, or here; gives tasks or results.

        After the last of them the node is shown at once: the run may be busy for long.
        """
        if not self._background.most:
            return [x.make() if isinstance(x, Deferred) else x for x in calls]
        deferred = [index for index, x in enumerate(calls) if isinstance(x, Deferred)]
        made = list(calls)

        def make(index: int) -> Any:
            made[index] = calls[index].make()
            if index == deferred[-1]:
                self._reporter.returned(node_id)
                results = [read_result(value, contract) for value in made]
                self._shown[node_id] = self._send_shown(node_id, merge_ui(results))
            return made[index]

        tasks = list(calls)
        for index in deferred:
            self._background.wait_for_room(self._reporter.check_interrupted)
            future = self._background.add(partial(make, index))
            tasks[index] = self._tasks.start_waiting(future)
        return tasks

    def _arguments(self, node_id: str, contract: Contract) -> tuple[Arguments, dict[str, str]]:
        """The values of a node's inputs, and the lazy ones without a value: name -> producer."""
        arguments: Arguments = {}
        missing: dict[str, str] = {}
        links = {link.name: link for link in self._graph.links(node_id)}
        inputs = self._graph.get_node(node_id).get("inputs", {})
        contract = contract.for_inputs(inputs)
        for name, value in inputs.items():
            link = links.get(name)
            if link is not None and not contract.takes_link(name):
                continue
            if link is None:
                if contract.takes(name):
                    arguments[name] = [literal(value)]
            elif name in contract.raw_links:
                arguments[name] = [value]
            elif self._recall(link.producer):
                outputs = self._results[link.producer].outputs
                arguments[name] = outputs[link.index] if link.index < len(outputs) else [None]
            else:
                missing[name] = link.producer
                arguments[name] = (None,)
        arguments.update(self._caller.hidden(node_id, contract))
        return arguments, missing

    def _take(self, node_id: str, contract: Contract, returned: list[Any]) -> None:
        """Take what the calls of a node gave."""
        self._reporter.returned(node_id)
        results = [read_result(value, contract) for value in collect(returned)]
        ui = self._show(node_id, results)
        if any(result.expand is not None for result in results):
            self._expand(node_id, results, ui)
        else:
            self._complete(node_id, NodeResult(outputs=merge_outputs(results, contract), ui=ui))

    def _show(self, node_id: str, results: Sequence[CallResult]) -> UiResult | None:
        if node_id in self._shown:
            shown = self._shown.pop(node_id)
        else:
            shown = self._send_shown(node_id, merge_ui(results))
        self.outcome.show(node_id, shown)
        return shown

    def _send_shown(self, node_id: str, ui: dict[str, Any] | None) -> UiResult | None:
        """Tell clients what a node shows. May be called from the background."""
        if ui is None:
            return None
        shown = UiResult(output=plain_json(ui), meta=self._reporter.meta(node_id))
        self._reporter.executed(node_id, shown.output)
        return shown

    def _expand(self, node_id: str, results: Sequence[CallResult], ui: UiResult | None) -> None:
        added: list[str] = []
        for result in results:
            if result.expand:
                self._graph.add(node_id, result.expand)
                added.extend(result.expand)
        are_outputs = {x: self._contract(x).is_output for x in added}
        self._cache.expand(self._scope(node_id), [self._keys[x] for x in added])
        links = result_links(results)
        for producer in links:
            if not self._graph.has_node(producer):
                raise NodeInputError(
                    f"the result of the expansion links to node '{producer}', which is not there"
                )
        self._use(node_id, links)
        self._expansions[node_id] = _Expansion(results=results, links=links, ui=ui)
        self._require([x for x in added if are_outputs[x]])
        self._wait_for(node_id, links)

    def _finish_expansion(self, node_id: str, contract: Contract) -> None:
        expansion = self._expansions.pop(node_id)
        outputs = {producer: self._results[producer].outputs for producer in expansion.links}
        merged = resolve_links(expansion.results, contract, outputs)
        self._complete(node_id, NodeResult(outputs=merged, ui=expansion.ui))

    def _complete(self, node_id: str, result: NodeResult) -> None:
        """A node that ran is done."""
        self._cache.put(self._slot(node_id), result)
        self.outcome.executed.append(node_id)
        self._leave(node_id, result)
        self._cache.relieve()

    def _leave(self, node_id: str, result: NodeResult) -> None:
        """A node is no longer pending; results that no pending node uses are left to the cache."""
        for producer in self._used_by.pop(node_id, ()):
            self._uses[producer] -= 1
            if not self._uses[producer]:
                self._results.pop(producer, None)
        if self._uses[node_id]:
            self._results[node_id] = result
        else:
            self._results.pop(node_id, None)
        self._reporter.finished(node_id)
        self._schedule.finish(node_id)
