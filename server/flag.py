"""One flag of the command line, and short ways to write those of common kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Effect = Literal["works", "noted", "refused"]
VALUE: Final = object()  # in `sets`: what was given on the command line


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One row of the table."""

    name: str  # with its dashes
    text: str  # one line for --help
    sets: Mapping[str, object] = field(default_factory=dict)  # setting -> value, or VALUE
    nargs: Literal["none", "one", "optional", "many", "any"] = "none"
    bare: object = None  # the value if `nargs` is optional and none was given
    metavar: str | None = None
    group: str | None = None  # only one flag of a group may be given
    effect: Effect = "works"
    repeats: bool = False
    most: int | None = None  # with `any`: how many values one occurrence may have
    # What was given -> settings, where `sets` cannot say it.
    read: Callable[[Any], Mapping[str, object]] | None = None


def value(name: str, setting: str, text: str, metavar: str, **more: Any) -> Flag:
    """A flag with one value."""
    return Flag(name=name, text=text, sets={setting: VALUE}, nargs="one", metavar=metavar, **more)


def switch(name: str, text: str, group: str | None = None, **sets: object) -> Flag:
    """A flag without a value."""
    return Flag(name=name, text=text, sets=sets, group=group)


def noted(name: str, nargs: Any = "none", group: str | None = None) -> Flag:
    return Flag(name=name, text="accepted, does nothing", nargs=nargs, group=group, effect="noted")


def refused(name: str, reason: str, nargs: Any = "optional") -> Flag:
    return Flag(name=name, text=reason, nargs=nargs, effect="refused")


def precision(prefix: str, suffix: str, setting: str, names: Iterable[str]) -> list[Flag]:
    return [
        Flag(
            name=f"--{prefix}{name}{suffix}",
            text=f"use {name} for {setting.removesuffix('_precision').replace('_', ' ')} weights",
            sets={setting: name},
            group=setting,
        )
        for name in names
    ]
