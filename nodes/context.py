"""What a running node may use besides its arguments: folders, progress, interruption, settings.

The engine sets the current context around every call, so that code deep inside a sampler (or in a
third-party pack) finds it without being handed it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from PIL.Image import Image

PreviewSource: TypeAlias = "Callable[[], Image | None]"


class Interrupted(Exception):
    """The prompt was interrupted; the engine ends it without calling it a failure."""


class NodeFolders(Protocol):
    """The part of the installation's folders that nodes need; names are confined to them."""

    def filename_list(self, kind: str) -> list[str]:
        """Names of the files of a kind, sorted."""

    def full_path(self, kind: str, name: str) -> Path:
        """The file of that kind and name; raises an error that names it if it is not there."""

    def directory(self, file_type: str) -> Path:
        """The folder `input`, `output` or `temp`."""

    def file_path(self, file_type: str, relative: str) -> Path:
        """A path inside `input`, `output` or `temp`."""

    def annotated_path(self, name: str) -> Path:
        """The path of `name`, `name [output]`, ...; without annotation inside `input`."""


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """What the settings say about all nodes."""

    preview_method: str = "none"  # none, auto, latent2rgb or taesd
    preview_size: int = 512  # longest side of a preview in pixels
    disable_metadata: bool = False  # leave the workflow out of saved files


class Reporter(Protocol):
    """Where progress goes, and where an interruption comes from."""

    def report(
        self, node_id: str, value: float, total: float, preview: PreviewSource | None
    ) -> None:
        """Tell clients how far a node is."""

    def check_interrupted(self) -> None:
        """Raise Interrupted if the prompt is to stop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeContext:
    """The surroundings of one call of a node."""

    prompt_id: str
    node_id: str
    list_index: int  # which of the mapped calls this is
    folders: NodeFolders
    settings: NodeSettings
    reporter: Reporter

    def report(self, value: float, total: float, preview: PreviewSource | None = None) -> None:
        """Report progress, with a picture if one is wanted; raises Interrupted."""
        self.reporter.check_interrupted()
        self.reporter.report(self.node_id, value, total, preview)

    def check_interrupted(self) -> None:
        """Raise Interrupted if the prompt is to stop."""
        self.reporter.check_interrupted()


CURRENT: ContextVar[NodeContext] = ContextVar("node_context")


def current_context() -> NodeContext:
    """The context of the node that is running; raises LookupError outside of one."""
    return CURRENT.get()


class _NoFiles:
    """File lists before an installation is known: all empty."""

    def names(self, source: str) -> list[str]:
        return []


class FileLists(Protocol):
    """Where the options of a file input come from."""

    def names(self, source: str) -> list[str]:
        """Names of a model folder kind, or of `input_images`."""


_file_lists: list[FileLists] = [_NoFiles()]


def use_file_lists(lists: FileLists) -> None:
    """Say where INPUT_TYPES() finds the names of files: once, when nodes are loaded."""
    _file_lists[0] = lists


def file_names(source: str) -> list[str]:
    """The names that a file input offers now."""
    return _file_lists[0].names(source)


JsonObject: TypeAlias = dict[str, Any]
