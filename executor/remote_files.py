"""Files that inputs name by URL: which may be fetched, and fetching them. Off unless allowed.

An administrator lists hosts; everything else is refused. Neither a redirect nor a name that is
resolved anew leads to another host, or to an address of a private network.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

DATA: Final = "data:"  # what begins a URL that holds the file itself
MOST_REDIRECTS: Final = 5
_CHUNK_BYTES: Final = 1 << 16
_HTTPS_PORT: Final = 443
_UNKNOWN_TYPE: Final = "application/octet-stream"  # of servers that do not know better
# Addresses that stand for others: IPv4 behind a translator (RFC 6052), 6to4 (RFC 3056).
_TRANSLATED: Final = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))
)


class FetchRefused(Exception):
    """A file is not fetched."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"the file at '{shown_url(url)}' is not fetched: {reason}")
        self.reason = reason


def is_url(name: str) -> bool:
    """Whether an input that names a file has a URL rather than a name."""
    return name.startswith((DATA, "https:", "http:"))


def shown_url(url: str) -> str:
    """A URL without what may be secret or long: query, user, and all beyond 200 characters."""
    bare = url.partition("?")[0].partition("#")[0]
    scheme, _, rest = bare.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"[:200]


@dataclass(frozen=True, kw_only=True)
class RemoteFiles:
    """What may be fetched."""

    hosts: frozenset[str] = frozenset()  # "a.example", "*.b.example", "c.example:8443"
    allow_private: bool = False  # addresses of private networks, and this machine's
    most_bytes: int = 50 * 2**20
    timeout_s: float = 30.0  # for all of it

    def check(self, url: str) -> None:
        """Raise FetchRefused for a URL that may not be fetched; nothing is resolved yet."""
        self._parts(url)

    def _parts(self, url: str) -> SplitResult:
        if not self.hosts:
            raise FetchRefused(url, "files are not fetched here (the setting 'fetch_hosts')")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise FetchRefused(url, f"it is no URL: {error}") from None
        if parts.scheme != "https":
            raise FetchRefused(url, "only https is allowed")
        if parts.username is not None or parts.password is not None:
            raise FetchRefused(url, "it names a user")
        if host is None or not self._is_listed(host.rstrip("."), port or _HTTPS_PORT):
            raise FetchRefused(url, f"the host '{host}' is not in the setting 'fetch_hosts'")
        return parts

    def _is_listed(self, host: str, port: int) -> bool:
        suffix = "" if port == _HTTPS_PORT else f":{port}"
        parents = host.split(".")[1:]
        names = [host, *(f"*.{'.'.join(parents[i:])}" for i in range(len(parents)))]
        return any(f"{name}{suffix}" in self.hosts for name in names)

    def fetch(self, url: str, kinds: Iterable[str]) -> bytes:
        """The content of a file whose type is one of `kinds`, such as `image/`.

        Raises FetchRefused; OSError for a host that cannot be reached.
        """
        deadline = time.monotonic() + self.timeout_s
        for _ in range(MOST_REDIRECTS + 1):
            parts = self._parts(url)
            connection = self._connect(url, parts, deadline)
            # A host may send a byte now and then for ever, which no timeout of reads ends.
            alarm = threading.Timer(max(0.0, deadline - time.monotonic()), connection.cut)
            alarm.start()
            try:
                target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
                headers = {"Accept-Encoding": "identity", "User-Agent": "darkroom"}
                connection.request("GET", target, headers=headers)
                response = connection.getresponse()
                if time.monotonic() >= deadline:  # what was cut off may look whole
                    raise TimeoutError
                location = response.getheader("Location")
                if response.status in (301, 302, 303, 307, 308) and location:
                    url = urljoin(url, location)
                    continue
                return self._read(url, response, tuple(kinds), deadline)
            except (http.client.HTTPException, OSError) as error:
                if time.monotonic() >= deadline:
                    raise FetchRefused(url, f"it takes longer than {self.timeout_s:g} s") from error
                if isinstance(error, ssl.SSLError):
                    raise
                raise FetchRefused(url, f"the answer cannot be read: {error!r}") from error
            finally:
                alarm.cancel()
                connection.close()
        raise FetchRefused(url, "it is redirected too often")

    def _connect(self, url: str, parts: SplitResult, deadline: float) -> _Pinned:
        """A connection to an address that was checked, under the name of the host."""
        host, port = parts.hostname or "", parts.port or _HTTPS_PORT
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise FetchRefused(url, f"there is no host '{host}': {error}") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not self.allow_private:
            for address in addresses:
                if not is_public(address):
                    raise FetchRefused(url, "its host has an address of a private network")
        left = max(0.1, deadline - time.monotonic())
        return _Pinned(host, port, addresses=addresses, timeout=left)

    def _read(
        self, url: str, response: http.client.HTTPResponse, kinds: tuple[str, ...], deadline: float
    ) -> bytes:
        if response.status != http.HTTPStatus.OK:
            raise FetchRefused(url, f"the host answers {response.status} {response.reason}")
        kind = response.headers.get_content_type()
        if not kind.startswith(kinds) and kind != _UNKNOWN_TYPE:
            raise FetchRefused(url, f"its type is {kind}, not {' or '.join(kinds)}")
        if response.getheader("Content-Encoding", "identity") != "identity":
            raise FetchRefused(url, "it is compressed although that was not asked for")
        pieces, size = [], 0
        while piece := response.read1(_CHUNK_BYTES):
            size += len(piece)
            if size > self.most_bytes:
                limit = f"{self.most_bytes / 2**20:g} MB (the setting 'max_fetch_size')"
                raise FetchRefused(url, f"it is larger than {limit}")
            pieces.append(piece)
        if response.length:
            raise FetchRefused(url, "it ends too soon")
        return b"".join(pieces)


def is_public(address: str) -> bool:
    """Whether an address is one of the internet, and stands for no other one."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif any(parsed in network for network in _TRANSLATED):
            return False
    return parsed.is_global and not parsed.is_multicast


class _Pinned(http.client.HTTPSConnection):
    """Connects to one of given addresses; certificate and Host header are those of the name."""

    def __init__(self, host: str, port: int, *, addresses: list[str], timeout: float) -> None:
        self._context_of_tls = ssl.create_default_context()
        super().__init__(host, port, timeout=timeout, context=self._context_of_tls)
        self._addresses = addresses

    def connect(self) -> None:
        """Connect; raises OSError."""
        plain = self._open()
        self.sock = self._context_of_tls.wrap_socket(plain, server_hostname=self.host)

    def _open(self) -> socket.socket:
        *others, last = self._addresses
        for address in others:
            with contextlib.suppress(OSError):
                return socket.create_connection((address, self.port), timeout=self.timeout)
        return socket.create_connection((last, self.port), timeout=self.timeout)

    def cut(self) -> None:
        """End what another thread reads or writes."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
