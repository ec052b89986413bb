"""Turns what happens in a run into events: client messages, progress, previews.

Messages that repeat a state (`progress_state`, `progress`, previews) are sent at most about twenty
times a second; the last of each node is always sent, and so is every picture that is a result.
"""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from executor.messages import Emit, Event, Execute, NodeText, Preview, Progress, encode
from executor.worker.graph import PromptGraph
from executor.worker.previews import encode_preview, is_result
from nodes.context import PreviewSource

EmitEvent: TypeAlias = Callable[[Event], None]

_INTERVAL_S = 0.05
_MAX_SHARE = 0.05  # of the time that may go into encoding progress_state


class NotJson(Exception):
    """A node's `ui` cannot be sent to clients."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the node's ui result cannot be written as JSON: {reason}")


def _plain(value: Any) -> Any:
    """JSON for the scalars of numpy and torch."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")


encode_json = msgspec.json.Encoder(enc_hook=_plain).encode


def plain_json(value: Any) -> Any:
    """The value as a JSON client will see it; raises NotJson."""
    try:
        plain = msgspec.json.decode(encode_json(value))
        encode(plain)  # integers of more than 64 bits are JSON, but do not cross to the server
        return plain
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise NotJson(str(error)) from error


def _number(value: float) -> float:
    """A plain number of 64 bits; raises an error where a node reports none."""
    if type(value) is float:
        return value
    try:
        whole = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return float(value)
    return whole if abs(whole) < 2**63 else float(whole)


def now_ms() -> int:
    """The Unix time of messages."""
    return time.time_ns() // 1_000_000


class _NodeProgress(msgspec.Struct):
    """One entry of `progress_state`."""

    value: float
    max: float
    state: str
    node_id: str
    prompt_id: str
    display_node_id: str
    parent_node_id: str | None
    real_node_id: str


class RunReporter:
    """The events of one run. `tick` may be called from another thread."""

    def __init__(
        self,
        command: Execute,
        graph: PromptGraph,
        emit: EmitEvent,
        *,
        preview_size: int,
        check_interrupted: Callable[[], None],
    ) -> None:
        self._prompt_id = command.prompt_id
        self._graph = graph
        self._emit = emit
        self._preview_size = preview_size
        self.check_interrupted = check_interrupted
        # From taking progress up until it is sent, so that it neither gets lost nor comes late. The
        # picture of a preview may report progress itself.
        self._sending = threading.RLock()
        self._lock = threading.Lock()  # around the states: `tick` reads them
        self._states: dict[str, _NodeProgress] = {}
        self._state_due = 0.0  # when progress_state may be sent next
        self._state_changed = False
        self._progress_due = 0.0  # when progress of a node may be sent next
        self._held_back: dict[str, tuple[float, float, PreviewSource | None]] = {}

    def send(self, message_type: str, body: dict[str, Any], *, to_all: bool = False) -> None:
        """A JSON message for clients."""
        text = encode_json({"type": message_type, "data": body})
        self._emit(
            Emit(
                prompt_id=self._prompt_id,
                type=message_type,
                text=text,
                to_all_if_no_client=to_all,
            )
        )

    def executing(self, node_id: str) -> None:
        """A node starts."""
        display = self._graph.get_display_node_id(node_id)
        with self._lock:
            self._set(node_id, 0, 1, "running")
        body = {"node": node_id, "display_node": display, "prompt_id": self._prompt_id}
        self.send("executing", body)

    def executed(self, node_id: str, output: dict[str, Any] | None) -> None:
        """A node shows something, or was asked for and is cached."""
        display = self._graph.get_display_node_id(node_id)
        self.send(
            "executed",
            {
                "node": node_id,
                "display_node": display,
                "output": output,
                "prompt_id": self._prompt_id,
            },
        )

    def returned(self, node_id: str) -> None:
        """A node's calls are over: its last progress leaves before anything that follows."""
        with self._sending:
            held_back = self._held_back.pop(node_id, None)
            if held_back is not None:
                self._send_progress(node_id, *held_back)

    def finished(self, node_id: str) -> None:
        """A node is done."""
        self.returned(node_id)
        with self._lock:
            state = self._states.get(node_id)
            total = state.max if state else 1
            self._set(node_id, total, total, "finished")

    def report(
        self, node_id: str, value: float, total: float, preview: PreviewSource | None
    ) -> None:
        """Progress inside a node; numbers may be those of numpy and torch."""
        value, total = _number(value), _number(total)
        with self._sending:
            now = time.monotonic()
            if now < self._progress_due and not is_result(preview):
                self._held_back[node_id] = (value, total, preview)
                return
            self._held_back.pop(node_id, None)
            self._progress_due = now + _INTERVAL_S
            self._send_progress(node_id, value, total, preview)

    def text(self, node_id: str, text: str) -> None:
        """A line of text to show on a node."""
        # A lone surrogate is no text that can be sent.
        sendable = text.encode(errors="replace").decode()
        self._emit(NodeText(prompt_id=self._prompt_id, node_id=node_id, text=sendable))

    def _send_progress(
        self, node_id: str, value: float, total: float, preview: PreviewSource | None
    ) -> None:
        # A preview takes a while: not under `_lock`, heartbeats wait for that.
        picture = None if preview is None else encode_preview(preview, self._preview_size)
        with self._lock:
            state = self._states.get(node_id)
            if state is not None and state.state == "finished":
                return  # from a thread that the node left behind
            self._set(node_id, value, total, "running")
        if picture is not None:
            image, image_type = picture
            metadata = self._names(node_id) | {"image_type": image_type}
            self._emit(
                Preview(
                    prompt_id=self._prompt_id,
                    metadata=metadata,
                    image=image,
                    image_type=image_type,
                )
            )
        body = {"value": value, "max": total, "prompt_id": self._prompt_id, "node": node_id}
        self.send("progress", body, to_all=True)
        self._emit(
            Progress(
                prompt_id=self._prompt_id,
                node_id=node_id,
                class_type=self._graph.get_node(node_id)["class_type"],
                value=value,
                maximum=total,
            )
        )

    def tick(self) -> None:
        """Send what was held back for a moment, if its time has come; without late previews."""
        if self._sending.acquire(blocking=False):  # else something newer is just being sent
            try:
                self._send_held_back()
            finally:
                self._sending.release()
        with self._lock:
            if self._state_changed and time.monotonic() >= self._state_due:
                self._send_states()

    def _send_held_back(self) -> None:
        now = time.monotonic()
        if self._held_back and now >= self._progress_due:
            self._progress_due = now + _INTERVAL_S
            node_id = next(iter(self._held_back))
            value, total, _ = self._held_back.pop(node_id)
            self._send_progress(node_id, value, total, None)

    def close(self) -> None:
        """Send the last of everything."""
        with self._sending:
            for node_id in list(self._held_back):  # of nodes that did not end
                value, total, _ = self._held_back.pop(node_id)
                self._send_progress(node_id, value, total, None)
        with self._lock:
            if self._state_changed:
                self._send_states()

    def meta(self, node_id: str) -> dict[str, Any]:
        """How history describes a node that shows something."""
        return {
            "node_id": node_id,
            "display_node": self._graph.get_display_node_id(node_id),
            "parent_node": self._graph.get_parent_node_id(node_id),
            "real_node_id": self._graph.get_real_node_id(node_id),
        }

    def _names(self, node_id: str) -> dict[str, Any]:
        return {
            "node_id": node_id,
            "prompt_id": self._prompt_id,
            "display_node_id": self._graph.get_display_node_id(node_id),
            "parent_node_id": self._graph.get_parent_node_id(node_id),
            "real_node_id": self._graph.get_real_node_id(node_id),
        }

    def _set(self, node_id: str, value: float, total: float, state: str) -> None:
        known = self._states.get(node_id)
        if known is None:
            self._states[node_id] = _NodeProgress(
                value=value, max=total, state=state, **self._names(node_id)
            )
        else:
            known.value, known.max, known.state = value, total, state
        self._state_changed = True
        if time.monotonic() >= self._state_due:
            self._send_states()

    def _send_states(self) -> None:
        began = time.monotonic()
        self._state_changed = False
        body = {"prompt_id": self._prompt_id, "nodes": self._states}
        self.send("progress_state", body, to_all=True)
        ended = time.monotonic()
        self._state_due = ended + max(_INTERVAL_S, (ended - began) / _MAX_SHARE)
