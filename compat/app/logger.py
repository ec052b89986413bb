"""ComfyUI's `app.logger`. The log is the server's; what packs log goes to it."""

from __future__ import annotations

from comfy.not_yet import missing_function

get_logs = missing_function("app.logger.get_logs")
on_flush = missing_function("app.logger.on_flush")


def setup_logger(log_level: str = "INFO", capacity: int = 300, use_stdout: bool = False) -> None:
    """Nothing to do: the worker's log is set up."""


def log_startup_warning(msg: str) -> None:
    """Log a warning."""
    import logging

    logging.warning(msg)
