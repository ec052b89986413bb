"""Which pages may use the server: the check of `Origin` against `Host` for loopback hosts."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_foreign(host: str | None, origin: str | None) -> bool:
    """True if a page from elsewhere asks a server that listens on a loopback name."""
    if not host or not origin or origin == "null":
        return False
    own_name, own_port = _name_and_port(f"//{host}")
    if not _is_loopback(own_name):
        return False
    name, port = _name_and_port(origin)
    if name != own_name:
        return True
    return port is not None and own_port is not None and port != own_port


def is_own(host: str | None, origin: str | None) -> bool:
    """True if the request comes from no page, or from a page that this server gave out."""
    if not origin:
        return True
    if not host:
        return False
    return _name_and_port(f"//{host}") == _name_and_port(origin)


def _name_and_port(url: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").lower(), parts.port
    except ValueError:  # a port that is no number, brackets that do not close
        return "", None


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
