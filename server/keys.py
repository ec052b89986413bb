"""API keys at rest: a file of names, scopes and hashes that commands change and servers follow.

A file and not a table of the job database, because it must decide about the first request, before
the database is open, and about every request while the database is locked or damaged.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from server.atomic import replacing
from server.scopes import KEY_SCOPES, Scope
from server.settings import Settings

FILE_NAME: Final = "darkroom-keys.json"
TOKEN_PREFIX: Final = "dk_"  # by which people and scanners for leaked secrets know a key
LONGEST_TOKEN: Final = 128  # characters; what is longer is no key, and is not hashed

_RANDOM_BYTES: Final = 32
_DAY_S: Final = 86_400
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class KeyFileError(Exception):
    """The key file cannot be used.

    KeyFileError
    ├── KeyFileUnreadable   it cannot be read, or holds something else
    └── KeyRefused          there can be no such key, or there is none
    """


class KeyFileUnreadable(KeyFileError):
    """The key file cannot be read, or holds something else."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the API keys in '{path}' cannot be read: {reason}")
        self.path = path


class KeyRefused(KeyFileError):
    """There can be no such key, or there is none."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key. Its token is known only to whoever it was shown to."""

    name: str  # whose jobs and files are whose; a later key of that name takes them over
    scope: Literal["read", "submit", "admin"]
    sha256: str  # of the token, in hexadecimal digits
    created: int  # s since 1970, as all times
    expires: int | None = None  # from when on it is refused
    revoked: int | None = None  # since when it is refused

    def is_valid(self, now: float) -> bool:
        """Whether it opens anything at that time."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    @property
    def rights(self) -> Scope:
        """The scope as a number."""
        return KEY_SCOPES[self.scope]


class _Content(msgspec.Struct, kw_only=True):
    """What the file holds."""

    version: Literal[1] = 1
    keys: list[Key] = []


def hash_token(token: str) -> str:
    """The hash by which a token is known.

    A fast hash without salt is enough: a token is 256 random bits, so there is nothing to guess
    and no table to make. It also makes looking up safe: how long a dictionary takes tells something
    of the hash, which says nothing of the token, and nobody can choose a token for its hash.
    """
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


class KeyFile:
    """The keys of one installation. Its methods read and write files: not for the event loop."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, settings: Settings) -> KeyFile:
        """The file that the settings name, existing or not."""
        user = settings.user_directory or settings.base_directory / "user"
        return cls(settings.keys_file or user / FILE_NAME)

    def stamp(self) -> tuple[int, ...] | None:
        """Another value after every change; None without a file. Raises KeyFileUnreadable."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        return status.st_mtime_ns, status.st_ino, status.st_size

    def read(self) -> Sequence[Key] | None:
        """All keys, also those that are revoked; None without a file. Raises KeyFileUnreadable."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_Content).keys
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        except (msgspec.DecodeError, ValueError) as error:
            raise KeyFileUnreadable(self.path, str(error)) from error

    def create(self, name: str, scope: Scope, days: int | None = None) -> str:
        """Make a key that lasts so many days (None: for ever); its token, which nothing keeps.

        Raises KeyRefused, KeyFileUnreadable, OSError.
        """
        if not _NAME.fullmatch(name):
            raise KeyRefused(
                f"a key cannot be called {name!r}: use 1 to 64 letters, digits, '.', '_', '-'"
            )
        now = int(time.time())
        token = TOKEN_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        with self._locked() as keys:
            if any(key.name == name and key.is_valid(now) for key in keys):
                raise KeyRefused(f"there is a key '{name}' already; revoke it, or choose a name")
            key = Key(
                name=name,
                scope=scope.word,  # type: ignore[arg-type]  # one of the words of KEY_SCOPES
                sha256=hash_token(token),
                created=now,
                expires=None if days is None else now + days * _DAY_S,
            )
            self._write([*keys, key])
        return token

    def revoke(self, name: str) -> None:
        """Refuse the key of that name from now on. Raises KeyRefused, KeyFileUnreadable, OSError.

        Its record stays: a server whose last key was revoked lets nobody in, not everybody.
        """
        now = int(time.time())
        with self._locked() as keys:
            if not any(key.name == name and key.is_valid(now) for key in keys):
                raise KeyRefused(f"there is no valid key '{name}'")
            self._write(
                [
                    msgspec.structs.replace(key, revoked=now)
                    if key.name == name and key.revoked is None
                    else key
                    for key in keys
                ]
            )

    @contextmanager
    def _locked(self) -> Iterator[Sequence[Key]]:
        """The keys, while no other command changes them."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = self.path.with_name(self.path.name + ".lock")
        with lock.open("ab") as handle:
            self._give_to_owner(lock)
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield self.read() or ()

    def _write(self, keys: Sequence[Key]) -> None:
        text = msgspec.json.format(msgspec.json.encode(_Content(keys=list(keys))), indent=2)
        with replacing(self.path, durable=True) as out:
            part = Path(out.name)
            part.chmod(0o600)  # while it is empty
            self._give_to_owner(part)
            out.write(text + b"\n")

    def _give_to_owner(self, file: Path) -> None:
        """What root writes belongs to whom the folder belongs to: the server must read it."""
        if os.geteuid() == 0:
            folder = self.path.parent.stat()
            os.chown(file, folder.st_uid, folder.st_gid)

    def _unreadable(self, error: OSError) -> KeyFileUnreadable:
        return KeyFileUnreadable(self.path, error.strerror or str(error))
