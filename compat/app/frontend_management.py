"""ComfyUI's `app.frontend_management`. The front end is the server's: see `--front-end-root`."""

from __future__ import annotations

from comfy.not_yet import missing_class

FrontendManager = missing_class("app.frontend_management.FrontendManager")
