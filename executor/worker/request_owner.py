"""Whose request a pack answers, in the task that does: what it sends then is for that owner."""

from __future__ import annotations

from contextvars import ContextVar

request_owner: ContextVar[str | None] = ContextVar("request_owner", default=None)
