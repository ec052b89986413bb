"""GET /features: what clients may rely on, and what `--feature-flag` adds to it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class KnownFlag:
    """A flag that front ends are known to look for. It is told only when it is set."""

    default: bool
    text: str


KNOWN_FLAGS: Final = {
    "show_signin_button": KnownFlag(default=False, text="show a button to sign in"),
    "enable_telemetry": KnownFlag(default=False, text="let the front end report its use"),
    "partner_run_gate_enabled": KnownFlag(
        default=True, text="ask for credits before nodes of partners run"
    ),
}

_WORDS: Final = {"true": True, "false": False}


def build_features(max_upload_bytes: int, flags: Iterable[str] = ()) -> dict[str, Any]:
    """The body of GET /features, which WebSocket clients are told too."""
    core = {
        "supports_preview_metadata": True,
        "max_upload_size": max_upload_bytes,
        # Nothing here answers a manager's calls: a client that is told so does not ask.
        "extension": {"manager": {"supports_v4": False}},
        "supports_model_type_tags": False,
        "node_replacements": True,
        "assets": False,
    }
    return _read_flags(flags, core) | core


def describe_flags() -> dict[str, Any]:
    """What `--list-feature-flags` prints."""
    return {
        name: {"type": "bool", "default": flag.default, "description": flag.text}
        for name, flag in KNOWN_FLAGS.items()
    }


def _read_flags(flags: Iterable[str], core: dict[str, Any]) -> dict[str, bool | str]:
    """Flags of the form KEY or KEY=VALUE; one that cannot be used is left out with a warning."""
    read: dict[str, bool | str] = {}
    for text in flags:
        name, has_value, given = (part.strip() for part in text.partition("="))
        value = _WORDS.get(given.lower(), given) if name in KNOWN_FLAGS else given
        if not has_value:
            value = True
        if not name or name in core:
            log.warning("the feature flag '%s' cannot be set", name)
        elif name in KNOWN_FLAGS and not isinstance(value, bool):
            log.warning("the feature flag '%s' must be true or false, not '%s'", name, given)
        else:
            read[name] = value
    return read
