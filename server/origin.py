"""Which pages and which host names may use the server: the checks of `Host` and `Origin`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

ANY_HOST: Final = "*"


class HostRules:
    """The host names that this server answers to, and the pages that it answers."""

    def __init__(self, listen: Iterable[str], trusted: Iterable[str] = ()) -> None:
        self._trusted = frozenset(name.lower().rstrip(".") for name in trusted)
        # Who listens for others does not know all names that others know the machine by.
        self._is_open = not self._trusted and not all(map(is_loopback, listen))

    def refuses_host(self, host: str | None) -> bool:
        """True for a name that is not this server's.

        A page can give its own name the address of this machine (DNS rebinding): the browser then
        takes the two for one origin. It cannot do so with an address.
        """
        if not host or self._is_open or ANY_HOST in self._trusted:
            return False
        name, _ = _name_and_port(f"//{host}")
        return not (_is_address(name) or is_loopback(name) or name in self._trusted)

    def is_foreign(self, method: str, headers: Mapping[str, str]) -> bool:
        """True if a page from elsewhere asks, as far as the browser tells.

        Only loopback and trusted hosts are guarded, as ComfyUI guards loopback ones.
        """
        host, origin = headers.get("Host"), headers.get("Origin")
        if not host or not self._is_guarded(_name_and_port(f"//{host}")[0]):
            return False
        if headers.get("Sec-Fetch-Site") == "cross-site":
            # Links to the server, and pictures of it, are what other pages may have.
            is_harmless = method in ("GET", "HEAD") and not origin
            if not is_harmless and not self._is_trusted(origin):
                return True
        return is_foreign(host, origin, self._trusted)

    def is_own_page(self, headers: Mapping[str, str]) -> bool:
        """True if no page asks, or one of this server: then its cookies may be believed."""
        origin = headers.get("Origin")
        if self._is_trusted(origin):
            return True
        is_near = headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
        return is_near and is_own(headers.get("Host"), origin)

    def _is_guarded(self, name: str) -> bool:
        return is_loopback(name) or name in self._trusted

    def _is_trusted(self, origin: str | None) -> bool:
        return origin is not None and _name_and_port(origin)[0] in self._trusted


def is_foreign(host: str | None, origin: str | None, trusted: Iterable[str] = ()) -> bool:
    """True if a page from elsewhere asks a server by a loopback name, or by a trusted one."""
    if not host or not origin or origin == "null":
        return False
    own_name, own_port = _name_and_port(f"//{host}")
    if not is_loopback(own_name) and own_name not in trusted:
        return False
    name, port = _name_and_port(origin)
    if name in trusted:
        return False
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
        return (parts.hostname or "").lower().rstrip("."), parts.port
    except ValueError:  # a port that is no number, brackets that do not close
        return "", None


def is_loopback(name: str) -> bool:
    """Whether a host name or an address is this machine's alone."""
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761: never asked of the network
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
