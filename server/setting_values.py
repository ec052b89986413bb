"""What values settings can have. Each function reads one from text or TOML; raises ValueError."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

# Way to compute attention -> the package that it takes, and what that is imported by.
ATTENTION_PACKAGES: Final = {
    "sage": ("sageattention", "sageattention"),
    "flash": ("flash-attn", "flash_attn"),
    "xformers": ("xformers", "xformers"),
}
LOG_LEVELS: Final = ("DEBUG", "DETAIL", "INFO", "WARNING", "ERROR", "CRITICAL")


def text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be text")
    return value


def integer(low: int, high: int | None = None) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError("it must be a whole number")
        number = int(value)
        if number < low or (high is not None and number > high):
            bounds = f"at least {low}" if high is None else f"between {low} and {high}"
            raise ValueError(f"it must be {bounds}")
        return number

    return parse


def number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("it must be a number")
    number = float(value)
    if not 0 <= number < float("inf"):
        raise ValueError("it must not be negative or infinite")
    return number


_UNITS: Final = {"K": 2**-20, "M": 2**-10, "G": 1.0, "T": 2.0**10}


def size(value: object) -> float:
    """A size in GB: a number, or one with a unit, as `8G`, `512M`, `1.5 GiB`."""
    if not isinstance(value, str):
        return number(value)
    written = value.strip().upper().removesuffix("B").removesuffix("I").rstrip()
    unit = _UNITS.get(written[-1:])
    try:
        return number(value) if unit is None else number(written[:-1]) * unit
    except ValueError:
        raise ValueError("it must be a size such as 8G or 512M") from None


def attention(value: object) -> str:
    """A way to compute attention whose package is installed."""
    kernel = one_of("auto", "pytorch", "split", *ATTENTION_PACKAGES)(value)
    package, module = ATTENTION_PACKAGES.get(kernel, ("", "sys"))
    if find_spec(module) is None:
        raise ValueError(f"it takes the package {package}: install it (pip install {package})")
    return kernel


def positive(value: object) -> float:
    found = number(value)
    if found == 0:
        raise ValueError("it must be more than 0")
    return found


def host(value: object) -> str:
    name = text(value)
    if not name or any(sign in name for sign in "/: \t[]") or "*" in name[1:]:
        raise ValueError("it must list names without scheme and port, or be `*`")
    return name


def fetch_host(value: object) -> str:
    name, _, port = text(value).lower().partition(":")
    if port and not port.isdecimal():
        raise ValueError("it must list names such as a.example, *.b.example or c.example:8443")
    if host(name.removeprefix("*.")) == "*":
        raise ValueError("it must name hosts: not every one is allowed at once")
    return name + (f":{port}" if port not in ("", "443") else "")


def boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False}
    try:
        return known[str(value).strip().lower()]
    except KeyError:
        raise ValueError("it must be true or false") from None


def path(value: object) -> Path:
    return Path(text(value)).expanduser()


def list_of(parse: Callable[[object], T], separator: str) -> Callable[[object], tuple[T, ...]]:
    def parse_list(value: object) -> tuple[T, ...]:
        items = value.split(separator) if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise ValueError("it must be a list")
        trimmed = [item.strip() if isinstance(item, str) else item for item in items]
        return tuple(parse(item) for item in trimmed if item != "")

    return parse_list


def one_of(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in choices:
            raise ValueError(f"it must be one of {', '.join(choices)}")
        return str(value)

    return parse


def devices(value: object) -> tuple[int, ...]:
    return () if value == "all" else list_of(integer(0), ",")(value)


@dataclass(frozen=True)
class LogFile:
    """A file that gets log lines."""

    level: str  # the least severity
    path: Path


def log_file(value: object) -> LogFile:
    level, has_file, file = text(value).partition(":")
    if not has_file or not file:
        raise ValueError("it must have the form LEVEL:FILE")
    return LogFile(one_of(*LOG_LEVELS)(level), path(file))


def node_names(value: object) -> tuple[str, ...]:
    """A list of names, or the YAML file that holds one."""
    names = _read_yaml(path(value)) or [] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("it must be a file that holds a list of node ids")
    return tuple(names)


def _read_yaml(file: Path) -> object:
    import yaml  # only who names such a file pays for it

    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(str(error)) from None


def date_format(value: object) -> str:
    form = text(value)
    if not form or form.startswith("/") or ".." in form or not form.isprintable():
        raise ValueError("it must give a folder name, such as %Y-%m-%d")
    return form
