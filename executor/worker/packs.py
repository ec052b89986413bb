"""Imports node packs: their start-up scripts, their modules, the node classes these name.

Packs are code of strangers. One that raises, whatever it raises, is reported and left out with all
that it has registered. One that ends the process or hangs is the server's to notice: it is told
before each pack whose code runs, and starts the next worker without that pack.
"""

from __future__ import annotations

import asyncio
import faulthandler
import importlib.util
import inspect
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeAlias, TypeGuard

from executor.definitions import NodeDefinition
from executor.packs import MODULE_PREFIX, START_SCRIPT, Pack, PackReport
from executor.worker.contract import NodeClass
from executor.worker.extensions import (
    ExtensionError,
    has_entry_point,
    load_extension,
    names_of,
)
from executor.worker.pack_web import web_folders

log = logging.getLogger(__name__)

# `executor.worker.describe.describe_each`
DescribeClasses: TypeAlias = Callable[
    [Mapping[str, NodeClass], Mapping[str, str]], list[NodeDefinition]
]


class PackError(Exception):
    """A pack cannot be used as it is; the message says why."""


class NoNodesError(PackError):
    """A pack offers no nodes. What else it has done stays: routes, functions in place of ours."""


class Registrations(Protocol):
    """What packs have registered with the facade of the server, so that it can be taken back."""

    def mark(self) -> object:
        """How things are now."""

    def undo(self, mark: Any) -> None:
        """Make them so again."""


@dataclass(kw_only=True)
class NodeTables:
    """The tables of node classes that packs see as `nodes.NODE_CLASS_MAPPINGS` and its kin."""

    classes: dict[str, NodeClass]
    display_names: dict[str, str]
    web_folders: dict[str, str] = field(default_factory=dict)  # name below /extensions -> folder
    module_folders: dict[str, str] = field(default_factory=dict)  # module's short name -> folder

    def copy(self) -> NodeTables:
        return NodeTables(
            classes=dict(self.classes),
            display_names=dict(self.display_names),
            web_folders=dict(self.web_folders),
            module_folders=dict(self.module_folders),
        )

    def restore(self, earlier: NodeTables) -> None:
        """Packs hold on to the tables: they are changed back in place."""
        for table, old in (
            (self.classes, earlier.classes),
            (self.display_names, earlier.display_names),
            (self.web_folders, earlier.web_folders),
            (self.module_folders, earlier.module_folders),
        ):
            _restore(table, old)


def _restore(table: MutableMapping[str, Any], old: Mapping[str, Any]) -> None:
    table.clear()
    table.update(old)


@dataclass(kw_only=True)
class _State:
    """What is known of one pack so far."""

    pack: Pack
    seconds: float = 0.0
    classes: list[str] = field(default_factory=list)  # names of those that it brought
    error: str | None = None
    is_kept: bool = False  # in spite of the error
    web: dict[str, str] = field(default_factory=dict)


class PackLoader:
    """Loads packs, in order. `announce` tells the server whose code runs; None: nobody's."""

    def __init__(
        self,
        packs: Sequence[Pack],
        tables: NodeTables,
        registrations: Registrations,
        *,
        announce: Callable[[str | None], None],
        left_out: Mapping[str, str],
        disabled: frozenset[str],
        timeout_s: float,
    ) -> None:
        self._states = [_State(pack=pack, error=left_out.get(pack.name)) for pack in packs]
        self._tables = tables
        self._registrations = registrations
        self._announce = announce
        self._own: frozenset[str] = frozenset()  # names that no pack takes over
        self._disabled = disabled
        self._scripts: list[ModuleType] = []  # kept, because functions of theirs may live on
        self._timeout_s = timeout_s

    @property
    def reports(self) -> list[PackReport]:
        """What became of each pack."""
        return [
            PackReport(
                name=state.pack.name,
                path=str(state.pack.path),
                seconds=round(state.seconds, 3),
                nodes=len(state.classes),
                error=state.error,
                web=state.web,
            )
            for state in self._states
        ]

    def run_start_scripts(self) -> None:
        """Run the script that a pack wants to run before anything is imported.

        A pack whose script fails is loaded all the same.
        """
        for state in self._wanted():
            script = state.pack.path / START_SCRIPT
            if state.pack.is_folder and script.is_file():
                with self._turn(state, "its start-up script failed"):
                    self._scripts.append(_execute(f"{state.pack.module_name}_start", script))
                state.error = None
        self._announce(None)

    async def load(self) -> None:
        """Import all packs; to be awaited where the packs' own tasks will run later."""
        self._own = frozenset(self._tables.classes)
        _make_parent(list(dict.fromkeys(str(state.pack.path.parent) for state in self._states)))
        for state in self._wanted():
            earlier, mark = self._tables.copy(), self._registrations.mark()
            with self._turn(state):
                await self._load(state)
            if state.error is not None and not state.is_kept:
                self._tables.restore(earlier)
                self._registrations.undo(mark)
                state.classes.clear()
                _forget_modules(state.pack.module_name)
        self._announce(None)

    def describe(self, describe: DescribeClasses) -> list[NodeDefinition]:
        """The definitions of the packs' classes: their own code tells what inputs they have."""
        classes, definitions = self._tables.classes, []
        for state in self._wanted():
            with self._turn(state):
                brought = {name: classes[name] for name in state.classes if name in classes}
                definitions += describe(brought, self._tables.display_names)
        self._announce(None)
        # What packs have written into the table itself.
        known = self._own.union(*(state.classes for state in self._states))
        others = {name: node for name, node in classes.items() if name not in known}
        return definitions + describe(others, self._tables.display_names)

    def log_times(self) -> None:
        """Write a table of all packs into the log."""
        if not self._states:
            return
        lines = [
            f"{state.seconds:8.2f} s  {len(state.classes):4} nodes  {state.pack.path}"
            + (f"  LEFT OUT: {state.error.splitlines()[0]}" if state.error else "")
            for state in sorted(self._states, key=lambda state: state.seconds)
        ]
        log.info("node packs, by the time that their import took:\n%s", "\n".join(lines))

    def _wanted(self) -> list[_State]:
        return [state for state in self._states if state.error is None]

    @contextmanager
    def _turn(self, state: _State, failure: str = "it is left out") -> Iterator[None]:
        """Run code of a pack: note how long it takes and what it raises."""
        self._announce(state.pack.name)
        self._watch()
        began = time.monotonic()
        try:
            yield
        except BaseException as error:  # also SystemExit: a pack does not end the worker
            state.error = _describe(error, state.pack)
            state.is_kept = isinstance(error, NoNodesError)
            failure = "it brings no nodes" if state.is_kept else failure
            level = logging.WARNING if isinstance(error, PackError) else logging.ERROR
            details = () if isinstance(error, PackError) else error
            log.log(
                level,
                "node pack '%s': %s: %s",
                state.pack.name,
                failure,
                state.error,
                exc_info=details or None,
            )
        finally:
            faulthandler.cancel_dump_traceback_later()
            state.seconds += time.monotonic() - began

    def _watch(self) -> None:
        """End the process if the pack takes too long, also if it never lets go of the interpreter.

        Where it hangs is printed.
        """
        if self._timeout_s > 0 and sys.__stderr__ is not None:
            faulthandler.dump_traceback_later(self._timeout_s, exit=True, file=sys.__stderr__)

    async def _load(self, state: _State) -> None:
        pack, tables = state.pack, self._tables
        had = dict(tables.web_folders)
        tables.module_folders[pack.label] = str(pack.path if pack.is_folder else pack.path.parent)
        module = _import(pack)
        tables.web_folders.update(web_folders(pack, module))
        classes, names = await _node_classes(module)
        if classes is None:
            if tables.web_folders == had:
                raise NoNodesError("it has neither NODE_CLASS_MAPPINGS nor comfy_entrypoint")
            classes = {}
        for name, node_class in classes.items():
            if self._add(name, node_class, pack):
                state.classes.append(name)
        tables.display_names.update(
            (name, text)
            for name, text in names.items()
            if name not in self._own and isinstance(text, str)
        )
        state.web = _added_folders(had, tables.web_folders)

    def _add(self, name: Any, node_class: Any, pack: Pack) -> bool:
        """Take a class in; whether it was."""
        if not _is_text(name) or not inspect.isclass(node_class):
            log.warning("node pack '%s': %r is no node class", pack.name, name)
            return False
        if name in self._disabled:
            return False
        if name in self._own:
            log.warning("node pack '%s' cannot replace the built-in node '%s'", pack.name, name)
            return False
        # Clients are told where a class comes from.
        with suppress(AttributeError, TypeError):  # a class that allows no attributes
            setattr(node_class, "RELATIVE_PYTHON_MODULE", pack.label)  # noqa: B010
        self._tables.classes[name] = node_class
        return True


def _is_text(value: object) -> TypeGuard[str]:
    """Whether it is a string that can be sent: one without halves of surrogate pairs."""
    try:
        return isinstance(value, str) and bool(value.encode())
    except UnicodeEncodeError:
        return False


def _added_folders(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Folders that a pack has added; packs may name them from where they are."""
    added = {name: folder for name, folder in now.items() if before.get(name) != folder}
    return {str(name): str(Path(folder).absolute()) for name, folder in added.items()}


def _make_parent(roots: list[str]) -> None:
    """The package `custom_nodes`: packs import from each other by that name."""
    parent = ModuleType(MODULE_PREFIX)
    parent.__path__ = roots
    sys.modules[MODULE_PREFIX] = parent


def _import(pack: Pack) -> ModuleType:
    """Import a pack, unless another pack has done so already."""
    known = sys.modules.get(pack.module_name)
    if known is not None and getattr(known, "__file__", None) is not None:
        return known
    if not pack.entry.is_file():
        raise PackError(f"the folder has no {pack.entry.name}")
    _execute(pack.module_name, pack.entry, [str(pack.path)] if pack.is_folder else None)
    module = sys.modules[pack.module_name]  # a module may put another in its place
    setattr(sys.modules[MODULE_PREFIX], pack.module_name.rpartition(".")[2], module)
    return module


def _execute(name: str, file: Path, search: list[str] | None = None) -> ModuleType:
    """Execute a file as a module of that name; `search` makes it a package."""
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise PackError(f"{file.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


async def _node_classes(
    module: ModuleType,
) -> tuple[Mapping[Any, Any] | None, Mapping[Any, Any]]:
    """The classes and display names that a pack offers; None if it offers nodes in no way."""
    mappings = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if mappings is not None:
        if not isinstance(mappings, Mapping):
            kind = type(mappings).__name__
            raise PackError(f"its NODE_CLASS_MAPPINGS must be a dict, not a {kind}")
        names = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None)
        return mappings, names if isinstance(names, Mapping) else {}
    return await _extension_classes(module) if has_entry_point(module) else (None, {})


async def _extension_classes(module: ModuleType) -> tuple[dict[str, Any], dict[str, str]]:
    """The V3 classes of a pack, and what those with a display name are called."""
    try:
        listed = await load_extension(module)
    except ExtensionError as error:
        raise PackError(str(error)) from error
    named = [(*names_of(node_class), node_class) for node_class in listed]
    return (
        {name: node_class for name, _, node_class in named},
        {name: shown for name, shown, _ in named if shown is not None},
    )


def _forget_modules(name: str) -> None:
    """Drop a module that was half imported, and its parts: another pack must not find them."""
    for known in list(sys.modules):
        if known == name or known.startswith(f"{name}."):
            del sys.modules[known]
    parent = sys.modules.get(MODULE_PREFIX)
    if parent is not None:
        parent.__dict__.pop(name.rpartition(".")[2], None)


def _describe(error: BaseException, pack: Pack) -> str:
    """What went wrong and where in the pack, in one or two lines."""
    if isinstance(error, PackError):
        return str(error)
    try:
        text = "".join(traceback.format_exception_only(error)).strip()
    except Exception:  # an exception whose text cannot be made
        text = type(error).__name__
    if isinstance(error, asyncio.CancelledError | SystemExit | KeyboardInterrupt):
        text = f"it tried to end the process ({text})"
    place = _place(error, pack.path)
    return f"{text} ({place})" if place else text


def _place(error: BaseException, folder: Path) -> str | None:
    """The innermost line of the pack that the exception came through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(folder):
            return f"line {frame.lineno} of {Path(frame.filename).relative_to(folder.parent)}"
    return None
