"""Another name of `comfy_api.latest.ui`, which some packs import."""

from __future__ import annotations

from comfy_api.latest.ui import *  # noqa: F403
