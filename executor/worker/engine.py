"""Runs prompts one after another in this process, and keeps results between them."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any

from executor.error_details import without_paths
from executor.messages import Execute, Finished, JsonObject
from executor.worker.cache import ResultCache
from executor.worker.contract import Contracts, NodeClass
from executor.worker.errors import printable, type_name
from executor.worker.graph import PromptGraph, original_nodes
from executor.worker.interruptions import Interruptions
from executor.worker.outcome import Instances, Outcome
from executor.worker.owned_folders import FileRights, OwnedFolders
from executor.worker.reporting import EmitEvent, RunReporter, now_ms
from executor.worker.run import Run
from executor.worker.wrong_values import wrong_values
from models.errors import is_out_of_memory
from nodes.context import Interrupted, Services, leave

log = logging.getLogger(__name__)

_MOST_PRINTED = 1 << 20  # characters of all arguments of a node that failed
# What Python and torch raise of themselves for values that they cannot use.
_TOLD_BY_PYTHON = (
    AttributeError, TypeError, LookupError, ValueError, ArithmeticError, RuntimeError,
)  # fmt: skip
PREVIEW_METHODS = frozenset({"none", "auto", "latent2rgb", "taesd"})


class Engine:
    """Runs prompts, one at a time. `interrupt` and `tick` may come from other threads."""

    def __init__(
        self,
        classes: Mapping[str, NodeClass],
        *,
        services: Services,
        cache: ResultCache,
        fixed_classes: frozenset[str] = frozenset(),
        node_scope: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext,
        on_out_of_memory: Callable[[], None] | None = None,
        memory_advice: str = "use a smaller size or batch",
        interruptions: Interruptions | None = None,
        hide_details: bool = False,
        most_pending_saves: int = 0,
        tidy_up: Callable[[], str | None] = lambda: None,
        rights: FileRights | None = None,
    ) -> None:
        """`fixed_classes` names classes whose inputs never change; `node_scope` surrounds runs.

        With `hide_details` errors tell clients neither tracebacks nor paths. Nodes that write files
        do so beside others, of which `most_pending_saves` may wait. `tidy_up` is called after each
        run, and says why this process cannot do another, if so. `rights` keep files of other owners
        from prompts that have one.
        """
        self._contracts = Contracts(classes, fixed=fixed_classes)
        self._services = services
        self._cache = cache
        self._node_scope = node_scope
        self._on_out_of_memory = on_out_of_memory
        self._memory_advice = memory_advice
        self._instances = Instances()
        self._hide_details = hide_details
        self._most_pending_saves = most_pending_saves
        self._tidy_up = tidy_up
        self._rights = rights
        self._interruptions = interruptions or Interruptions()
        self._reporter: RunReporter | None = None

    def interrupt(self, prompt_id: str) -> None:
        """Stop this prompt at its next step; other prompts are not touched."""
        self._interruptions.interrupt(prompt_id)

    def tick(self) -> None:
        """Send coalesced messages whose time has come; to be called some twenty times a second."""
        reporter = self._reporter
        if reporter is not None:
            reporter.tick()

    def clear_results(self) -> None:
        """Forget all results and node objects. Not while a prompt runs."""
        self._cache.clear()
        self._instances.clear()

    def execute(self, command: Execute, emit: EmitEvent) -> None:
        """Run a prompt to its end. Whatever happens, `Finished` is the last event."""
        self._interruptions.accept(command.prompt_id)
        services = self._services_for(command)
        graph = PromptGraph(original_nodes(command.prompt))
        reporter = RunReporter(
            command,
            graph,
            emit,
            preview_size=services.settings.preview_size,
            check_interrupted=lambda: self._interruptions.check(command.prompt_id),
        )
        run = Run(
            command,
            graph,
            reporter,
            contracts=self._contracts,
            cache=self._cache,
            instances=self._instances,
            services=services,
            free_memory=self._on_out_of_memory,
            most_pending_saves=self._most_pending_saves,
        )
        self._reporter = reporter
        messages: list[tuple[str, JsonObject]] = []
        try:
            # In a context of its own: the current node is none when the run is over.
            final, body = copy_context().run(self._run, run, command, graph, reporter, messages)
        finally:
            self._reporter = None
            leave()
            self._interruptions.forget(command.prompt_id)
        reporter.close()
        body = {"prompt_id": command.prompt_id, **body, "timestamp": now_ms()}
        reporter.send(final, body, to_all=final == "execution_interrupted")
        messages.append((final, body))
        emit(
            Finished(
                prompt_id=command.prompt_id,
                succeeded=final == "execution_success",
                interrupted=final == "execution_interrupted",
                outputs=run.outcome.outputs,
                meta=run.outcome.meta,
                messages=messages,
                unfit=self._tidied(),
            )
        )

    def _tidied(self) -> str | None:
        try:
            return self._tidy_up()
        except BaseException as error:  # a node has changed what everything needs
            return f"cannot put right what a node has changed: {printable(error)}"

    def _run(
        self,
        run: Run,
        command: Execute,
        graph: PromptGraph,
        reporter: RunReporter,
        messages: list[tuple[str, JsonObject]],
    ) -> tuple[str, JsonObject]:
        """Run the nodes; returns the type and body of the final message."""

        def tell(message_type: str, body: JsonObject) -> None:
            body = {**body, "prompt_id": command.prompt_id, "timestamp": now_ms()}
            messages.append((message_type, body))
            reporter.send(message_type, body)

        tell("execution_start", {})
        self._contracts.renew()
        cached: list[str] = []
        try:
            with self._node_scope():
                cached = run.prepare()
                tell("execution_cached", {"nodes": cached})
                run.execute()
        except Interrupted:
            return "execution_interrupted", _place(run.outcome, graph)
        except BaseException as error:  # also SystemExit: a node ends its prompt, not the worker
            return "execution_error", self._failure(error, run.outcome, graph, cached)
        finally:
            run.close()
        return "execution_success", {}

    def _services_for(self, command: Execute) -> Services:
        services, owner = self._services, command.owner
        method = command.extra_data.get("preview_method")
        if isinstance(method, str) and method in PREVIEW_METHODS:
            settings = replace(services.settings, preview_method=method)
            services = replace(services, settings=settings)
        if self._rights is not None and owner is not None:
            folders = OwnedFolders(services.folders, self._rights, owner)
            claim = partial(self._rights.claim, owner)
            services = replace(services, folders=folders, claim=claim)
        return services

    def _failure(
        self, error: BaseException, outcome: Outcome, graph: PromptGraph, cached: list[str]
    ) -> JsonObject:
        message = printable(error)
        if is_out_of_memory(error):
            message += (
                f"\nThe device is out of memory. All models were unloaded; {self._memory_advice}."
            )
            if self._on_out_of_memory is not None:
                self._on_out_of_memory()
        elif isinstance(error, _TOLD_BY_PYTHON):
            message = "\n".join([message, *self._wrong_values(outcome, graph)])
        lines, inputs = traceback.format_tb(error.__traceback__), _printed(outcome)
        if self._hide_details:
            log.error("%s: %s\n%s", type_name(error), message, printable("".join(lines)))
            message, lines = without_paths(message), []
            inputs = {name: [_hidden(value) for value in values] for name, values in inputs.items()}
        return {
            **_place(outcome, graph),
            "exception_message": f"{message}\n",
            "exception_type": type_name(error),
            "traceback": [printable(line) for line in lines],
            "current_inputs": inputs,
            "current_outputs": list(dict.fromkeys([*cached, *outcome.executed])),
        }

    def _wrong_values(self, outcome: Outcome, graph: PromptGraph) -> list[str]:
        if outcome.node_id is None or not graph.has_node(outcome.node_id):
            return []
        class_type = graph.get_node(outcome.node_id).get("class_type")
        contract = self._contracts.read(class_type) if isinstance(class_type, str) else None
        return [] if contract is None else wrong_values(contract.node_class, outcome.arguments)


def _place(outcome: Outcome, graph: PromptGraph) -> JsonObject:
    """Where a run stopped, in terms of submitted nodes."""
    node_id = outcome.node_id
    real_id = graph.get_real_node_id(node_id) if node_id is not None else None
    known = real_id is not None and graph.has_node(real_id)
    return {
        "node_id": real_id,
        "node_type": graph.get_node(str(real_id)).get("class_type") if known else None,
        "executed": outcome.executed,
    }


def _printed(outcome: Outcome) -> JsonObject:
    """The arguments as clients are shown them; of very many only their types after some."""
    left = _MOST_PRINTED

    def show(value: object) -> Any:
        nonlocal left
        if left <= 0:
            return f"<{type(value).__name__}>"
        shown = _print(value)
        left -= len(shown) if isinstance(shown, str) else 1
        return shown

    return {name: [show(value) for value in values] for name, values in outcome.arguments.items()}


def _print(value: object) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    return printable(value)


def _hidden(value: Any) -> Any:
    return without_paths(value) if isinstance(value, str) else value
