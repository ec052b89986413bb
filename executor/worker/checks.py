"""Runs a class's own VALIDATE_INPUTS for the server."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Mapping

from executor.calls import CheckRequest, CheckResult
from executor.worker.contract import NodeClass, is_v3_class
from executor.worker.errors import printable, type_name
from nodes.blocker import ExecutionBlocker


def validate_inputs(classes: Mapping[str, NodeClass], request: CheckRequest) -> CheckResult:
    """Call the method; raises KeyError for an unknown class."""
    node_class = classes[request.class_type]
    if is_v3_class(node_class):
        node_class = node_class.PREPARE_CLASS_CLONE(request.hidden)
    check = node_class.VALIDATE_INPUTS
    try:
        answer = check(**request.inputs)
        if inspect.iscoroutine(answer):
            answer = asyncio.run(answer)
        if answer is True or isinstance(answer, ExecutionBlocker):
            return CheckResult(ok=True)
        return CheckResult(ok=False, text=None if answer is False else printable(answer))
    except BaseException as error:  # also SystemExit: whoever asks next wants an answer too
        return CheckResult(
            ok=False,
            exception_type=type_name(error),
            exception_message=printable(error),
            traceback=[printable(line) for line in traceback.format_tb(error.__traceback__)],
        )
