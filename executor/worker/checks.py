"""Runs a class's own VALIDATE_INPUTS for the server."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Mapping

from executor.calls import CheckRequest, CheckResult
from executor.error_details import without_paths
from executor.worker.contract import NodeClass, is_v3_class
from executor.worker.errors import printable, type_name
from nodes.blocker import ExecutionBlocker

log = logging.getLogger(__name__)


def validate_inputs(
    classes: Mapping[str, NodeClass], request: CheckRequest, *, hide_details: bool = False
) -> CheckResult:
    """Call the method; raises KeyError for an unknown class.

    With `hide_details` the answer tells neither tracebacks nor paths.
    """
    result = _validate(classes, request)
    if not hide_details or result.ok:
        return result
    if result.traceback:
        log.error("%s\n%s", result.exception_message, "".join(result.traceback))
    return CheckResult(
        ok=False,
        text=_hidden(result.text),
        exception_type=result.exception_type,
        exception_message=_hidden(result.exception_message),
    )


def _hidden(text: str | None) -> str | None:
    return None if text is None else without_paths(text)


def _validate(classes: Mapping[str, NodeClass], request: CheckRequest) -> CheckResult:
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
