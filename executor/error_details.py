"""What an error may tell clients that are not on this machine: no paths."""

from __future__ import annotations

import re
from typing import Final

# An absolute path of at least two parts, which is not the rest of an address or of another path.
# Between quotes it may hold spaces.
_QUOTED: Final = re.compile(
    r"""(?<=['"])(?:[A-Za-z]:)?[/\\](?:[^/\\'"\n]+[/\\])+([^/\\'"\n]*)(?=['"])"""
)
_PLAIN: Final = re.compile(
    r"""(?<![\w:/\\.'"%-])(?:[A-Za-z]:)?[/\\](?:[^\s/\\'":,;()<>]+[/\\])+([^\s/\\'":,;()<>]*)"""
)


def without_paths(text: str) -> str:
    """The text with the last part only of each absolute path in it."""
    if "/" not in text and "\\" not in text:
        return text
    return _PLAIN.sub(r"\1", _QUOTED.sub(r"\1", text))
