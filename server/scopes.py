"""What an API key allows: each scope includes those before it."""

from __future__ import annotations

import enum


class Scope(enum.IntEnum):
    """The right that a route asks for, and the most that a key has."""

    OPEN = 0  # of routes only: everybody may ask, with or without a key
    READ = 1  # look at one's own jobs and files, at nodes and models
    SUBMIT = 2  # queue, cancel and forget one's own jobs; upload and keep files
    ADMIN = 3  # everything, and the jobs and files of all

    @property
    def word(self) -> str:
        """As people write it."""
        return self.name.lower()


KEY_SCOPES = {scope.word: scope for scope in Scope if scope is not Scope.OPEN}
