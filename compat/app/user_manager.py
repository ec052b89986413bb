"""ComfyUI's `app.user_manager`: whose request it is, and the files of users."""

from __future__ import annotations

from darkroom_compat.request_users import UserManager as UserManager
