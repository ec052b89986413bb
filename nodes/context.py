"""What a running node may use besides its arguments: folders, progress, interruption, settings.

The engine sets the current context around every call, so that code deep inside a sampler (or in a
third-party pack) finds it without being handed it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from PIL.Image import Image

    from models.memory import Policy

# A source may have the attributes of ReadyPicture that say how its picture is sent.
PreviewSource: TypeAlias = "Callable[[], Image | None]"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyPicture:
    """A picture to send with progress."""

    picture: Image
    full_size: bool = False  # not shrunk to the preview size
    lossless: bool = False  # a result for clients: sent as PNG, and never left out

    def __call__(self) -> Image:
        return self.picture


class Interrupted(Exception):
    """The prompt was interrupted; the engine ends it without calling it a failure."""


class NodeFolders(Protocol):
    """The part of the installation's folders that nodes need; names are confined to them."""

    def filename_list(self, kind: str) -> list[str]:
        """Names of the files of a kind, sorted."""

    def kind_folders(self, kind: str) -> list[Path]:
        """The folders that are searched for a kind."""

    def full_path(self, kind: str, name: str) -> Path:
        """The file of that kind and name; raises an error that names it if it is not there."""

    def directory(self, file_type: str) -> Path:
        """The folder `input`, `output` or `temp`."""

    def file_path(self, file_type: str, relative: str) -> Path:
        """A path inside `input`, `output` or `temp`."""

    def below(self, root: Path, relative: str) -> Path:
        """A path inside another folder that nodes write to."""

    def annotated_path(self, name: str) -> Path:
        """The path of `name`, `name [output]`, ...; without annotation inside `input`."""


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """What the settings say about all nodes."""

    preview_method: str = "none"  # none, auto, latent2rgb or taesd
    preview_size: int = 512  # longest side of a preview in pixels
    disable_metadata: bool = False  # leave the workflow out of saved files
    max_image_pixels: int = 150_000_000  # of a picture that is read, all frames together
    max_media_bytes: int = 16 * 2**30  # of a video's pictures, or a sound, once decoded
    max_shader_seconds: float = 120.0  # that a shader may take for one picture
    date_folder: str | None = None  # strftime format of the output subfolder for saved files


# URL, types such as "image/" -> content
Fetch: TypeAlias = Callable[[str, tuple[str, ...]], bytes]


def _fetch_nothing(url: str, kinds: tuple[str, ...]) -> bytes:
    raise RuntimeError("this process was set up to fetch no files")


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a process offers to all nodes."""

    folders: NodeFolders
    settings: NodeSettings = field(default_factory=NodeSettings)
    model_policy: Policy | None = None  # None: a process that runs no models
    flags: Mapping[str, Any] = field(default_factory=dict)  # the worker's settings by name
    interrupt: Callable[[str], None] = lambda prompt_id: None  # have a prompt stop
    fetch: Fetch = _fetch_nothing  # the content of a file at a URL
    claim: Callable[[Sequence[Path]], None] = lambda paths: None  # files are whose the job is

    @property
    def policy(self) -> Policy:
        """Devices and number types of models."""
        if self.model_policy is None:
            raise RuntimeError("this process was set up without a policy for models")
        return self.model_policy


class Reporter(Protocol):
    """Where progress goes, and where an interruption comes from."""

    def report(
        self, node_id: str, value: float, total: float, preview: PreviewSource | None
    ) -> None:
        """Tell clients how far a node is."""

    def text(self, node_id: str, text: str) -> None:
        """Show a line of text on a node."""

    def check_interrupted(self) -> None:
        """Raise Interrupted if the prompt is to stop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeContext:
    """The surroundings of one call of a node."""

    prompt_id: str
    node_id: str
    list_index: int  # which of the mapped calls this is
    services: Services
    reporter: Reporter

    @property
    def folders(self) -> NodeFolders:
        """Where files are."""
        return self.services.folders

    @property
    def settings(self) -> NodeSettings:
        """What the settings say, with this prompt's changes."""
        return self.services.settings

    @property
    def policy(self) -> Policy:
        """Devices and number types of models."""
        return self.services.policy

    def report(self, value: float, total: float, preview: PreviewSource | None = None) -> None:
        """Report progress, with a picture if one is wanted; raises Interrupted."""
        self.reporter.check_interrupted()
        self.reporter.report(self.node_id, value, total, preview)

    def report_text(self, text: str) -> None:
        """Show a line of text on this node; the next one replaces it."""
        self.reporter.text(self.node_id, text)

    def wrote(self, paths: Sequence[Path]) -> None:
        """Say which files a node has written that it does not show: they are the submitter's."""
        if paths:
            self.services.claim(paths)

    def check_interrupted(self) -> None:
        """Raise Interrupted if the prompt is to stop."""
        self.reporter.check_interrupted()


CURRENT: ContextVar[NodeContext] = ContextVar("node_context")


class _Process:
    """What holds for this process, outside of calls and in threads that nodes start."""

    services: Services | None = None
    latest: NodeContext | None = None  # of the call made last in the prompt that runs


def use_services(services: Services | None) -> None:
    """Say what this process offers to nodes: once, before packs are imported."""
    _Process.services = services


def process_services() -> Services:
    """What this process offers; raises LookupError before `use_services`."""
    if _Process.services is None:
        raise LookupError("this process was not set up to run nodes")
    return _Process.services


def enter(context: NodeContext) -> None:
    """A call begins."""
    CURRENT.set(context)
    _Process.latest = context


def leave() -> None:
    """A prompt is over: its calls are surroundings for nobody any more."""
    _Process.latest = None


def current_context() -> NodeContext:
    """The context of the node that is running; raises LookupError outside of a prompt.

    Threads that a node has started get that of the call made last.
    """
    context = CURRENT.get(None) or _Process.latest
    if context is None:
        raise LookupError("no node is running")
    return context


def surroundings() -> NodeContext:
    """The current context, or outside of a prompt one that reports to nobody.

    Raises LookupError in a process that was not set up for nodes.
    """
    context = CURRENT.get(None) or _Process.latest
    if context is not None:
        return context
    return NodeContext(
        prompt_id="", node_id="", list_index=0, services=process_services(), reporter=_Silent()
    )


def interrupt_prompt() -> None:
    """Have the prompt that runs stop, from any thread."""
    context = CURRENT.get(None) or _Process.latest
    if context is not None:
        context.services.interrupt(context.prompt_id)


def check_interrupted() -> None:
    """Raise Interrupted if the prompt whose node this thread runs is to stop."""
    context = CURRENT.get(None)
    if context is not None:
        context.check_interrupted()


def is_in_call() -> bool:
    """Whether a node is running, as far as this thread can tell."""
    return (CURRENT.get(None) or _Process.latest) is not None


class _Silent:
    """Reports to nobody, is never interrupted."""

    def report(
        self, node_id: str, value: float, total: float, preview: PreviewSource | None
    ) -> None:
        pass

    def text(self, node_id: str, text: str) -> None:
        pass

    def check_interrupted(self) -> None:
        pass


class InstalledFiles(Protocol):
    """Files as node classes need them outside of a call: for their choices and checks."""

    def names(self, source: str) -> list[str]:
        """Names of a model folder kind, or of `input_images`."""

    def annotated_path(self, name: str) -> Path:
        """As `NodeFolders.annotated_path`."""


class _NoFiles:
    """Before an installation is known there are no files."""

    def names(self, source: str) -> list[str]:
        return []

    def annotated_path(self, name: str) -> Path:
        raise LookupError("no folders were set up")


_installed: list[InstalledFiles] = [_NoFiles()]


def use_files(files: InstalledFiles) -> None:
    """Say where node classes find files: once, when nodes are loaded."""
    _installed[0] = files


def annotated_path(name: str) -> Path:
    """The path of `name`, `name [output]`, ...: as the job may use it whose node this thread runs.

    Outside of jobs as the installation has it.
    """
    context = CURRENT.get(None)
    folders = installed_files() if context is None else context.folders
    return folders.annotated_path(name)


def installed_files() -> InstalledFiles:
    """The files of this installation."""
    return _installed[0]
