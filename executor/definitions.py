"""Node definitions as plain data: what validating a prompt needs, without running a node.

Workers publish them; the server keeps them in memory and caches them on disk, keyed by a
fingerprint of the code version and of what the node folders hold, so that a warm start needs no
worker.
"""

from __future__ import annotations

from typing import Any

import msgspec


class ClassCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A class's own VALIDATE_INPUTS: what its signature asks for."""

    arguments: list[str]  # the parameter names
    takes_all: bool = False  # it has **kwargs


class NodeDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One node class."""

    name: str
    info: dict[str, Any]  # its entry in GET /object_info
    check: ClassCheck | None = None
    # input name -> where its options come from: a model folder kind such as "checkpoints", or
    # "input_images". The server fills these lists in from disk: fresh, and without a worker
    # (executor.file_options). What `info` lists for them are choices that are no files.
    file_options: dict[str, str] = {}
    # input name -> how many of those choices stand before the files, where not all follow.
    choices_before_files: dict[str, int] = {}
    # What its pack says about older classes that it stands for (executor.node_replacement).
    replaces: list[dict[str, Any]] = []
    # Types among its inputs and outputs that fit others than those of their name: type -> names.
    equal_types: dict[str, list[str]] = {}
    takes_old_prompts: bool = False  # absent required inputs take their defaults
    later_names: dict[str, str] = {}  # what other releases call inputs -> what the class does
    further_output: Any = None  # the type of outputs beyond those listed, if it has such

    @property
    def is_output(self) -> bool:
        return bool(self.info["output_node"])
