"""Names of files that nodes save: prefixes with placeholders, numbers in use. No torch."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

_NUMBER = re.compile(r"_([0-9]+)(?=_)")
_BARE_NUMBER = re.compile(r"_([0-9]+)(?=[_.])")


def fill_in_prefix(prefix: str, width: int, height: int) -> str:
    """Replace `%width%`, `%year%` and the like in a file name prefix."""
    if "%" not in prefix:
        return prefix
    now = time.localtime()
    values = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    for key, value in values.items():
        prefix = prefix.replace(f"%{key}%", value)
    return prefix


def numbers_in(folder: Path, *, bare: bool = False) -> dict[str, int]:
    """For every entry `<name>_<digits>_...` its name with the highest number.

    `bare` counts `<name>_<digits>.<extension>` as well.
    """
    pattern = _BARE_NUMBER if bare else _NUMBER
    highest: dict[str, int] = {}
    for entry in os.listdir(folder):  # noqa: PTH208  (names are all it takes)
        for match in pattern.finditer(entry):
            name = os.path.normcase(entry[: match.start()])
            highest[name] = max(highest.get(name, 0), int(match[1]))
    return highest


def highest_number(folder: Path, name: str) -> int:
    """The highest N among entries `<name>_N_...` now; 0 if there are none."""
    return numbers_in(folder).get(os.path.normcase(name), 0)
