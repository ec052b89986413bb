"""The base of Darkroom's own nodes: declared inputs and outputs, one method `run`.

A subclass is an ordinary V1 node class (INPUT_TYPES, RETURN_TYPES, FUNCTION, ...), so that one
engine runs ours and those of third parties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from nodes.context import NodeContext, installed_files, surroundings
from nodes.file_choices import FileChoices
from nodes.method_names import CORE, EXTRA

MAX_RESOLUTION = 16384  # pixels, the bound of every size input


@dataclass(frozen=True)
class FileOptions:
    """A choice among files, listed anew whenever it is asked for."""

    source: str  # a model folder kind such as "checkpoints", or "input_images"
    extra: tuple[str, ...] = ()  # choices that are no files, after them

    def names(self) -> FileChoices:
        """All choices now."""
        files = installed_files().names(self.source)
        return FileChoices(self.source, files, after=self.extra)


# What an input is: `("INT", {"default": 1})`, `("IMAGE",)`, `(["a", "b"],)`, `(FileOptions(...),)`.
Declared: TypeAlias = (
    tuple[str | list[str] | FileOptions] | tuple[str | list[str] | FileOptions, dict[str, Any]]
)
Inputs: TypeAlias = Mapping[str, Declared]


def inputs(**declared: Declared) -> Inputs:
    """The inputs of a class, in order."""
    return declared


class Node:
    """One node class. Subclasses declare inputs and outputs and implement `run`."""

    REQUIRED: ClassVar[Inputs] = inputs()
    OPTIONAL: ClassVar[Inputs] = inputs()
    HIDDEN: ClassVar[tuple[tuple[str, str], ...]] = ()  # argument, kind
    NODE_NAME: ClassVar[str | None] = None  # in workflows; None: the name of the class
    DISPLAY_NAME: ClassVar[str | None] = None  # None: that name

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ()
    CATEGORY: ClassVar[str] = "sd"
    OUTPUT_NODE: ClassVar[bool] = False
    # Prompts of other releases run: required inputs that are absent take their defaults, and links
    # that the class does not declare are left out.
    TAKES_OLD_PROMPTS: ClassVar[bool] = True
    LATER_NAMES: ClassVar[Mapping[str, str]] = {}  # of inputs in other releases -> here
    IN_BACKGROUND: ClassVar[bool] = False  # it writes files: other nodes run meanwhile
    FUNCTION: ClassVar[str] = "run"
    run: Callable[..., Any]  # the work: inputs as keyword arguments

    def __init_subclass__(cls, **options: Any) -> None:
        """Have a class of ours go by the method that packs call: they may override it, too."""
        super().__init_subclass__(**options)
        if not cls.__module__.startswith("nodes."):
            return
        name = CORE.get(cls.__name__) or EXTRA.get(cls.__name__)
        if name is not None:
            cls.FUNCTION = name
            setattr(cls, name, cls.run)

    @classmethod
    def execute(cls, *arguments: Any, **named: Any) -> Any:
        """The work, called on the class, as packs do with V3 nodes."""
        return getattr(cls(), cls.FUNCTION)(*arguments, **named)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """The inputs in V1 form, with file lists as they are on disk now."""
        types: dict[str, dict[str, Any]] = {}
        if cls.REQUIRED:
            types["required"] = {name: _as_v1(spec) for name, spec in cls.REQUIRED.items()}
        if cls.OPTIONAL:
            types["optional"] = {name: _as_v1(spec) for name, spec in cls.OPTIONAL.items()}
        if cls.HIDDEN:
            types["hidden"] = dict(cls.HIDDEN)
        return types

    @property
    def context(self) -> NodeContext:
        """The surroundings of the running call."""
        return surroundings()


def _as_v1(spec: Declared) -> tuple[Any, ...]:
    kind, *options = spec
    return (kind.names() if isinstance(kind, FileOptions) else kind, *options)
