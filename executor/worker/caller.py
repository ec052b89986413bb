"""Calls the methods of nodes: arguments mapped over lists, context set, blockers passed on."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from executor.messages import Execute
from executor.worker.calls import Arguments, blocker_among, call_arguments
from executor.worker.contract import Contract
from executor.worker.errors import NodeInputError
from executor.worker.graph import PromptGraph, literal
from executor.worker.reporting import RunReporter
from executor.worker.tasks import ParkedTasks, is_task
from models.errors import is_out_of_memory
from nodes.blocker import ExecutionBlocker
from nodes.context import CURRENT, Interrupted, NodeContext, Services, enter

log = logging.getLogger(__name__)

# What hidden inputs may be; those of other kinds are not passed.
HIDDEN_KINDS = frozenset(
    {
        "PROMPT",
        "DYNPROMPT",
        "EXTRA_PNGINFO",
        "UNIQUE_ID",
        "AUTH_TOKEN_COMFY_ORG",
        "API_KEY_COMFY_ORG",
        "COMFY_USAGE_SOURCE",
    }
)


@dataclass(frozen=True, slots=True)
class Deferred:
    """A call that is yet to be made, on another thread."""

    make: Callable[[], Any]


class Caller:
    """Calls node methods for one run."""

    def __init__(
        self,
        command: Execute,
        graph: PromptGraph,
        reporter: RunReporter,
        tasks: ParkedTasks,
        services: Services,
        free_memory: Callable[[], None] | None,
    ) -> None:
        self._command = command
        self._graph = graph
        self._reporter = reporter
        self._tasks = tasks
        self._services = services
        self._free_memory = free_memory

    def call(
        self,
        node_id: str,
        contract: Contract,
        node: Any,
        arguments: Arguments,
        executed: list[str],
    ) -> list[Any]:
        """Call the node's function; async calls give tasks, blocked ones silent blockers.

        Those of a class that runs in the background are not made yet.
        """

        def blocked(blocker: ExecutionBlocker) -> ExecutionBlocker:
            if blocker.message is not None:
                self._tell_blocked(node_id, blocker.message, executed)
            return ExecutionBlocker(None)

        method = getattr(self._callee(node_id, contract, node), contract.function)
        defer = contract.in_background
        return self._map(node_id, contract, method, arguments, blocked, defer=defer)

    def lazy_wants(
        self, node_id: str, contract: Contract, node: Any, arguments: Arguments
    ) -> list[str]:
        """The names of inputs that `check_lazy_status` asks for; may hold evaluated ones."""
        inputs = self._graph.get_node(node_id).get("inputs", {})
        names: list[str] = []
        assert contract.lazy_function is not None
        method = getattr(self._callee(node_id, contract, node), contract.lazy_function)
        for answer in self._map_now(node_id, contract, method, arguments):
            if isinstance(answer, list | tuple | set | frozenset):
                names.extend(name for name in answer if isinstance(name, str))
        for name in names:
            if name not in inputs:
                raise NodeInputError(f"the node asks for input '{name}', which it does not have")
        return names

    def is_changed(self, node_id: str, contract: Contract) -> list[Any] | None:
        """What the class's IS_CHANGED says, one value a call; None if it has none.

        The value is also written into the graph, so that it gets into saved files. An exception
        counts as "changed".
        """
        if contract.is_changed is None:
            return None
        node = self._graph.get_node(node_id)
        try:
            arguments = self._literals(node_id, contract)
            method = contract.is_changed
            if contract.is_v3:
                method = self._callee(node_id, contract, None).IS_CHANGED
            changed = self._map_now(node_id, contract, method, arguments)
        except Interrupted:
            raise
        except Exception:
            log.warning("IS_CHANGED of %s (node %s) failed", contract.name, node_id, exc_info=True)
            changed = [math.nan]
        node["is_changed"] = changed
        return changed

    def hidden(self, node_id: str, contract: Contract) -> Arguments:
        """The values of the hidden inputs that are arguments; a V3 class has them otherwise."""
        if contract.is_v3:
            return {}
        return {name: [value] for name, value in self._hidden_values(node_id, contract).items()}

    def _callee(self, node_id: str, contract: Contract, node: Any) -> Any:
        return contract.callee(node, lambda: self._hidden_values(node_id, contract))

    def _hidden_values(self, node_id: str, contract: Contract) -> dict[str, Any]:
        return {
            name: self._hidden(kind, node_id)
            for name, kind in contract.hidden.items()
            if kind in HIDDEN_KINDS
        }

    def _hidden(self, kind: str, node_id: str) -> Any:
        match kind:
            case "PROMPT":
                return self._graph.get_original_prompt()
            case "DYNPROMPT":
                return self._graph
            case "EXTRA_PNGINFO":
                return self._command.extra_data.get("extra_pnginfo")
            case "UNIQUE_ID":
                return node_id
            case "COMFY_USAGE_SOURCE":
                return self._command.extra_data.get("comfy_usage_source")
            case _:
                return self._command.secrets.get(kind)

    def _literals(self, node_id: str, contract: Contract) -> Arguments:
        """The inputs for IS_CHANGED: linked ones are None; hidden ones only if it names them."""
        linked = {link.name for link in self._graph.links(node_id)}
        arguments: Arguments = {}
        inputs = self._graph.get_node(node_id).get("inputs", {})
        contract = contract.for_inputs(inputs)
        for name, value in inputs.items():
            if name in linked:
                arguments[name] = [None]
            elif contract.takes(name):
                arguments[name] = [literal(value)]
        named = _named_parameters(contract.is_changed)
        hidden = self.hidden(node_id, contract)
        return arguments | {name: value for name, value in hidden.items() if name in named}

    def _map_now(
        self, node_id: str, contract: Contract, method: Any, arguments: Arguments
    ) -> list[Any]:
        """Call a method over lists, waiting for async ones; blocked calls give None."""
        returned = self._map(node_id, contract, method, arguments, lambda _: None)
        stop = self._reporter.check_interrupted
        return [self._tasks.wait_here(x, stop) if is_task(x) else x for x in returned]

    def _map(
        self,
        node_id: str,
        contract: Contract,
        method: Any,
        arguments: Arguments,
        blocked: Callable[[ExecutionBlocker], Any],
        *,
        defer: bool = False,
    ) -> list[Any]:
        whole_lists = contract.input_is_list
        returned: list[Any] = []
        for index, kwargs in enumerate(call_arguments(arguments, whole_lists=whole_lists)):
            self._reporter.check_interrupted()
            blocker = blocker_among(kwargs, whole_lists=whole_lists)
            if blocker is not None:
                returned.append(blocked(blocker))
                continue
            context = self._context(node_id, index)
            if defer:
                returned.append(Deferred(partial(_call_in, context, method, kwargs)))
                continue
            enter(context)
            value = self._call(method, kwargs)
            returned.append(self._tasks.start(value) if inspect.iscoroutine(value) else value)
        return returned

    def _call(self, method: Any, kwargs: dict[str, Any]) -> Any:
        """Call a method; if memory runs out, once more after it was freed."""
        try:
            return method(**kwargs)
        except Exception as error:
            if self._free_memory is None or not is_out_of_memory(error):
                raise
            log.warning("memory ran out; the node is called again after models were unloaded")
        # Not within the handler: the exception keeps all that the failed call had made.
        self._free_memory()
        return method(**kwargs)

    def _context(self, node_id: str, list_index: int) -> NodeContext:
        return NodeContext(
            prompt_id=self._command.prompt_id,
            node_id=node_id,
            list_index=list_index,
            services=self._services,
            reporter=self._reporter,
        )

    def _tell_blocked(self, node_id: str, message: str, executed: list[str]) -> None:
        real_id = self._graph.get_real_node_id(node_id)
        self._reporter.send(
            "execution_error",
            {
                "prompt_id": self._command.prompt_id,
                "node_id": real_id,
                "node_type": self._graph.get_node(real_id)["class_type"],
                "executed": executed,
                "exception_message": f"Execution Blocked: {message}",
                "exception_type": "ExecutionBlocked",
                "traceback": [],
                "current_inputs": [],
                "current_outputs": [],
            },
        )


def _call_in(context: NodeContext, method: Any, kwargs: dict[str, Any]) -> Any:
    """Make a call on a thread of its own; threads of other nodes keep their surroundings."""
    CURRENT.set(context)
    context.check_interrupted()
    return method(**kwargs)


def _named_parameters(method: Any) -> set[str]:
    try:
        return set(inspect.signature(method).parameters)
    except (TypeError, ValueError):
        return set()
