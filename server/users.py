"""Who the users are, and which folder belongs to whom."""

from __future__ import annotations

import asyncio
import re
import uuid
from pathlib import Path
from typing import Any, Final

from server.access import Caller
from server.errors import BadRequest, Unauthorized
from server.json_file import read_json_file, write_json_file

RESERVED: Final = "__"  # names that begin so are the server's own
FILE_NAME: Final = "users.json"
USER_HEADER: Final = "comfy-user"

_ONLY_USER: Final = "default"
_OF_KEY: Final = "key-"  # before the name of an API key; user ids end in a UUID
_LONGEST_NAME: Final = 128
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def user_of_key(caller: Caller) -> str | None:
    """The user that a key stands for; None for those that are any user, and without keys."""
    return None if caller.limited_to is None else f"{_OF_KEY}{caller.limited_to}"


class UserRefused(BadRequest):
    """There can be no user of that name."""

    def body(self) -> dict[str, Any]:
        # Clients show `error` as it is, so here it is a text.
        return {"error": self.message, "field": "username"}


class Users:
    """One user, or with `multi_user` those of `users.json`, each with a folder below `root`."""

    def __init__(self, root: Path, *, multi_user: bool) -> None:
        self.multi_user = multi_user
        self._root = root
        self._file = root / FILE_NAME
        self._turn = asyncio.Lock()

    async def is_migrated(self, caller: Caller) -> bool:
        """Without users to choose from: whether something is stored already."""
        return await asyncio.to_thread(self._only_folder(caller).is_dir)

    def is_choice_of(self, caller: Caller) -> bool:
        """Whether requests name the user: not those of a key that may not see all."""
        return self.multi_user and caller.limited_to is None

    def _only_folder(self, caller: Caller) -> Path:
        return self._root / (user_of_key(caller) or _ONLY_USER)

    async def names(self) -> dict[str, str]:
        """User ids and names."""
        async with self._turn:
            return await asyncio.to_thread(self._read)

    async def add(self, name: str) -> str:
        """The id of a new user. Raises UserRefused."""
        name = name.strip()
        if not name:
            raise UserRefused("the user name is empty")
        if len(name) > _LONGEST_NAME:
            raise UserRefused(f"the user name is longer than {_LONGEST_NAME} characters")
        if name.startswith(RESERVED):
            raise UserRefused(f"user names must not start with '{RESERVED}'")
        async with self._turn:
            return await asyncio.to_thread(self._add, name)

    async def folder(self, user_id: str | None, caller: Caller) -> Path:
        """The folder of the user that a request names. Raises Unauthorized.

        Who may not see all has a folder of its own, whomever it names.
        """
        if not self.is_choice_of(caller):
            return self._only_folder(caller)
        if not user_id:
            raise Unauthorized("the header 'comfy-user' is missing; GET /users lists the users")
        if user_id not in await self.names():
            raise Unauthorized("the header 'comfy-user' names no user; GET /users lists them")
        return self._root / user_id

    def _read(self) -> dict[str, str]:
        users = read_json_file(self._file)
        return {
            user_id: str(name)
            for user_id, name in users.items()
            if _SAFE_ID.fullmatch(user_id) and not user_id.startswith(RESERVED)
        }

    def _add(self, name: str) -> str:
        users = read_json_file(self._file)
        if name in users.values():
            raise UserRefused(f"there is a user {name!r} already")
        user_id = f"{re.sub('[^A-Za-z0-9_-]', '-', name)}_{uuid.uuid4()}"
        write_json_file(self._file, users | {user_id: name})
        return user_id
