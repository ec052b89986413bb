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

# An API key of ours, wherever it stands (server.keys): also behind `%3D`, in an encoded address.
_KEY: Final = re.compile(r"dk_[A-Za-z0-9_-]{43}")


def redact(text: str) -> str:
    """The text, with `***` for passwords in addresses and for values that are named as secrets."""
    if "://" in text:
        text = _IN_URL.sub(rf"\1:{_HIDDEN}@", text)
    return redact_keys(_NAMED.sub(rf"\1{_HIDDEN}", text))


def redact_keys(text: str) -> str:
    """The text without API keys of ours."""
    return _KEY.sub(f"dk_{_HIDDEN}", text) if "dk_" in text else text
