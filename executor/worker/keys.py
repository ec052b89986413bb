"""Cache keys: what makes the result of a node, as one digest.

A key covers the class, IS_CHANGED, the literals, and the keys of the producers with the output
index; of nodes that show something, or have an IS_CHANGED because they read files, also whose
prompt it is, so that nobody is shown what was made for another, nor gets what was read from files
of another. So equal sub-graphs of one owner have equal keys whatever their ids are, and a graph
costs one digest a node.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, TypeAlias

import msgspec

from executor.worker.contract import Contract, Contracts
from executor.worker.graph import PromptGraph, literal

Key: TypeAlias = bytes

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_unique = itertools.count()
_DIGEST_BYTES = 20
_LONG = 1  # msgpack's extension type of large integers, here


def unique_key() -> Key:
    """A key that equals no other: its node always runs."""
    return b"unique-%d" % next(_unique)


class Keys:
    """The keys of the nodes of one run, each computed once."""

    def __init__(
        self,
        graph: PromptGraph,
        contracts: Contracts,
        changed: Callable[[str, Contract], list[Any] | None],
        owner: str | None = None,
    ) -> None:
        self._graph = graph
        self._contracts = contracts
        self._changed = changed  # what IS_CHANGED says of a node; None without one
        self._owner = owner  # who is shown nothing that was made for another
        self._keys: dict[str, Key] = {}

    def __getitem__(self, node_id: str) -> Key:
        key = self._keys.get(node_id)
        return key if key is not None else self._compute(node_id)

    def _compute(self, wanted: str) -> Key:
        keys = self._keys
        open_nodes: set[str] = set()
        stack = [wanted]
        while stack:
            node_id = stack[-1]
            if node_id in keys:
                stack.pop()
                continue
            missing = [x.producer for x in self._graph.links(node_id) if x.producer not in keys]
            if missing and node_id not in open_nodes:
                open_nodes.add(node_id)
                stack.extend(x for x in missing if x not in open_nodes)
                continue
            # If its producers were visited, what is missing still waits for this node: a cycle.
            stack.pop()
            keys[node_id] = unique_key() if missing else self._digest(node_id)
        return keys[wanted]

    def _digest(self, node_id: str) -> Key:
        node = self._graph.get_node(node_id)
        contract = self._contracts[node["class_type"]]
        changed = self._changed(node_id, contract)
        if changed is not None and any(_is_nan(value) for value in changed):
            return unique_key()
        links = {link.name: link for link in self._graph.links(node_id)}
        inputs = [
            (name, self._keys[links[name].producer], links[name].index)
            if name in links
            else (name, literal(value))
            for name, value in sorted(node.get("inputs", {}).items())
        ]
        identity = node_id if contract.key_has_id else None
        parts: tuple[Any, ...] = (contract.name, changed, identity, inputs)
        is_private = contract.is_output or contract.shows_when_cached or changed is not None
        if self._owner is not None and is_private:
            parts += (self._owner,)
        try:
            text = _encode(_encodable(parts))
        except (TypeError, ValueError, OverflowError, RecursionError):
            return unique_key()  # a value that is not plain data, such as a tensor
        return blake2b(text, digest_size=_DIGEST_BYTES).digest()


def _encodable(value: Any) -> Any:
    """Plain data as msgpack has it; raises TypeError for all else, also for what msgspec knows.

    Numbers may have more than 64 bits, strings and numbers may be of classes of their own.
    """
    kind = type(value)
    if kind is str or value is None or kind in (bool, float, bytes):
        return value
    if kind in (list, tuple):
        return [_encodable(item) for item in value]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        is_short = -(2**63) <= value < 2**64
        return int(value) if is_short else msgspec.msgpack.Ext(_LONG, str(int(value)).encode())
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    raise TypeError(f"{kind.__name__} is not plain data")


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
