"""`PromptServer.instance.user_manager` as node packs know it: whose request it is, and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiohttp import web

from executor.folders import OutsideFolder, inside
from executor.packs import USER_HEADER

_DEFAULT_USER = "default"
_HEADER = "comfy-user"
_RESERVED = "__"  # names that begin so are the server's own
_SETTINGS = "comfy.settings.json"


class UserManager:
    """Users as the server has them: a folder for each."""

    def __init__(self, folder: Path, *, is_multi_user: bool) -> None:
        self._folder = folder
        self._is_multi_user = is_multi_user
        self.settings = UserSettings(self)

    def get_request_user_id(self, request: web.Request) -> str:
        """The user of a request; raises KeyError for one that is not known."""
        of_key = request.headers.get(USER_HEADER)  # of the server's: it takes a client's away
        if of_key is not None:
            return of_key
        if not self._is_multi_user:
            return _DEFAULT_USER
        user = request.headers.get(_HEADER, "")
        is_name = user and not user.startswith((".", _RESERVED)) and "/" not in user
        if not is_name or not (self._folder / user).is_dir():
            raise KeyError(f"Unknown user: {user}")
        return user

    def get_request_user_filepath(
        self,
        request: web.Request,
        file: str | None,
        type: str = "userdata",
        create_dir: bool = True,
    ) -> str | None:
        """The path of a user's file, or of the user's folder; None for one that leads out of it."""
        if type != "userdata":
            raise KeyError(f"Unknown filepath type: {type}")
        root = self._folder / self.get_request_user_id(request)
        try:
            path = root if file is None else inside(root, file, links_to=())
        except OutsideFolder:
            return None
        if create_dir:
            (path if file is None else path.parent).mkdir(parents=True, exist_ok=True)
        return str(path)


class UserSettings:
    """The settings of users, as the server keeps them."""

    def __init__(self, users: UserManager) -> None:
        self._users = users

    def get_settings(self, request: web.Request) -> dict[str, Any]:
        """All settings of the request's user."""
        path = self._users.get_request_user_filepath(request, _SETTINGS, create_dir=False)
        try:
            settings = json.loads(Path(str(path)).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return settings if isinstance(settings, dict) else {}
