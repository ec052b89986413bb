"""How the server logs: for a person at a terminal, as plain lines, or as JSON lines."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, TextIO

import msgspec

from server.settings import Settings

_LINE = "%(asctime)s %(levelname)-7s %(message)s"
_TIME = "%H:%M:%S"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message and, with an error, its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def set_up_logging(settings: Settings, *further: logging.Handler) -> TextIO:
    """Send all records to one place, and to further ones; the stream they go to."""
    stream = sys.stdout if settings.log_stdout else sys.stderr
    level = "WARNING" if settings.quiet else settings.log_level
    root = logging.getLogger()
    root.handlers[:] = [_handler(settings, stream), *further]
    root.setLevel(level)
    for chatty in ("asyncio", "PIL", "alembic"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    return stream


def is_interactive(settings: Settings, stream: TextIO) -> bool:
    """Whether a person looks at the stream."""
    return settings.log_format == "text" and stream.isatty()


def _handler(settings: Settings, stream: TextIO) -> logging.Handler:
    if is_interactive(settings, stream):
        from server.terminal import rich_handler  # rich costs start-up time: only for a person

        return rich_handler(stream)
    handler = logging.StreamHandler(stream)
    is_json = settings.log_format == "json"
    handler.setFormatter(JsonFormatter() if is_json else logging.Formatter(_LINE, _TIME))
    return handler
