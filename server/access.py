"""Who may do what: the valid API keys in memory, and whom each request comes from.

Without keys everybody may do everything, at the cost of one look at a flag.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from server.credentials import presented_tokens
from server.errors import KeyNeeded, ScopeTooSmall
from server.keys import LONGEST_TOKEN, Key, KeyFile, KeyFileUnreadable, hash_token
from server.origin import HostRules
from server.scopes import Scope
from server.settings import Settings

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.5  # between two looks at the key file
_QUIET_S: Final = 10.0  # between two warnings of keys that are not valid


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whom a request comes from."""

    owner: str | None  # the key's name, which owns what is made; None: no keys are in use
    scope: Scope
    sha256: str = ""  # of the key

    @property
    def sees_all(self) -> bool:
        """Whether jobs and files of all are shown; else only the owner's."""
        return self.scope is Scope.ADMIN

    @property
    def limited_to(self) -> str | None:
        """The owner of all that this caller may see; None: no limit."""
        return None if self.sees_all else self.owner

    def require(self, scope: Scope) -> None:
        """Raises ScopeTooSmall."""
        if self.scope < scope:
            raise ScopeTooSmall(
                f"this needs a key of scope '{scope.word}'; this key has '{self.scope.word}'",
                required=scope.word,
                scope=self.scope.word,
            )


ANYBODY: Final = Caller(owner=None, scope=Scope.ADMIN)

_CALLER: Final = web.RequestKey("caller", Caller)


def caller_of(request: web.Request) -> Caller:
    """Whom a request comes from that was let in."""
    return request[_CALLER]


class Access:
    """The keys as they are now. Lives on the event loop; `watch` follows the file.

    Keys are in use once there is a key file or the setting `require_keys`, and until the server
    ends: a file that vanishes or cannot be read meanwhile opens nothing.
    """

    def __init__(
        self, file: KeyFile | None = None, rules: HostRules | None = None, *, required: bool = False
    ) -> None:
        self.is_on = required
        self._file = file
        self._rules = rules or HostRules(())
        self._stamp: tuple[int, ...] | None = None
        self._trouble = ""  # why the file cannot be read
        self._keys: Sequence[Key] = ()
        self._callers: Mapping[str, Caller] = {}  # by hash, of the keys that are valid
        self._in_progress: dict[asyncio.Task[object], Caller] = {}
        self._failures = 0  # since the last warning
        self._next_warning = 0.0  # time.monotonic()

    @classmethod
    def open(cls, settings: Settings) -> Access:
        """What the settings say, with the keys of now. Blocking; raises KeyFileUnreadable."""
        rules = HostRules(settings.listen, settings.trusted_hosts)
        access = cls(KeyFile.of(settings), rules, required=settings.require_keys)
        access._read()
        access._take_valid()
        return access

    @property
    def has_valid_keys(self) -> bool:
        """Whether anybody can get in with a key."""
        return bool(self._callers)

    def identify(self, request: web.Request) -> Caller | None:
        """Whom a request comes from; None where it has no valid key although keys are in use."""
        if not self.is_on:
            return ANYBODY
        is_without = True
        for token in presented_tokens(request, self._rules):
            is_without = False
            caller = self.find(token)
            if caller is not None:
                return caller
        if not is_without:
            self.note_failure(request)
        return None

    def is_own_page(self, request: web.Request) -> bool:
        """Whether no page asks, or one of this server."""
        return self._rules.is_own_page(request.headers)

    def find(self, token: str) -> Caller | None:
        """Whose key it is; None for one that is not valid."""
        return None if len(token) > LONGEST_TOKEN else self._callers.get(hash_token(token))

    def sees_all(self, owner: str) -> bool:
        """Whether jobs of this owner may use the files of all: as its key may at this moment."""
        if not self.is_on:
            return True
        return any(c.sees_all for c in self._callers.values() if c.owner == owner)

    def admit(self, request: web.Request, scope: Scope) -> Caller:
        """Let in a request that has this right. Raises KeyNeeded, ScopeTooSmall."""
        caller = self.identify(request)
        if caller is None:
            raise KeyNeeded()
        caller.require(scope)
        request[_CALLER] = caller
        return caller

    @contextmanager
    def in_progress(self, caller: Caller) -> Iterator[None]:
        """While a request is answered, or a socket is open: it ends when its key does."""
        task = asyncio.current_task()
        assert task is not None
        self._in_progress[task] = caller
        try:
            yield
        finally:
            self._in_progress.pop(task, None)

    async def watch(self) -> None:
        """Follow the key file, for ever."""
        while self._file is not None:
            await asyncio.sleep(_LOOK_S)
            was_on = self.is_on
            try:
                has_changed = await asyncio.to_thread(self._read)
                self._trouble = ""
            except KeyFileUnreadable as error:  # the keys stay what they were
                has_changed = False
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    log.error("%s; those known before stay valid", error)
            if self._take_valid() or has_changed or self.is_on != was_on:
                log.info("API keys changed: %d are valid", len(self._callers))
                self._cut_off()

    def _read(self) -> bool:
        """Read the file if it is another one than before; whether it was."""
        assert self._file is not None
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return False
        keys = self._file.read()
        self._stamp = stamp
        self._keys = keys or ()
        self.is_on = self.is_on or keys is not None
        return True

    def _take_valid(self) -> bool:
        """Keep those that are valid at this moment; whether they are others than before."""
        now, before = time.time(), self._callers
        self._callers = {
            key.sha256: Caller(owner=key.name, scope=key.rights, sha256=key.sha256)
            for key in self._keys
            if key.is_valid(now)
        }
        return self._callers != before

    def _cut_off(self) -> None:
        """End what is in progress for those who may no longer ask."""
        for task, caller in list(self._in_progress.items()):
            if self._callers.get(caller.sha256) != caller:
                task.cancel()

    def note_failure(self, request: web.Request) -> None:
        """Say that somebody tries keys, without filling the log."""
        self._failures += 1
        now = time.monotonic()
        if now >= self._next_warning:
            log.warning(
                "%d requests with an API key that is not valid, the last from %s for %s",
                self._failures,
                request.remote,
                request.rel_url.raw_path,
            )
            self._failures, self._next_warning = 0, now + _QUIET_S
