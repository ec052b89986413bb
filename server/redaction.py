"""Takes secrets out of text that clients may read: log lines, the command line."""

from __future__ import annotations

import re
from typing import Final

_HIDDEN: Final = "***"

# The password in `postgresql://user:password@host`.
_IN_URL: Final = re.compile(r"(?<=://)([^\s:/@]{0,256}):[^\s/@]{1,1024}@")

# `api_key: 123`, `"auth_token_comfy_org": "123"`, `Authorization: Bearer 123`, `?token=123`.
_NAMED: Final = re.compile(
    r"""(?ix)
    ( (?<! [a-z] ) (?: api[_-]?key | token | password | passwd | secret | authorization )
      (?: _comfy_org )? ["']? \s{0,4} [=:] \s{0,4} (?: (?: bearer | basic ) \s )? )
    ( "[^"]+" | '[^']+' | [^\s"',;&}\])]+ )
    """
)


def redact(text: str) -> str:
    """The text, with `***` for passwords in addresses and for values that are named as secrets."""
    if "://" in text:
        text = _IN_URL.sub(rf"\1:{_HIDDEN}@", text)
    return _NAMED.sub(rf"\1{_HIDDEN}", text)
