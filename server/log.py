"""How the server logs: for a person at a terminal, as plain lines, or as JSON lines."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Final, TextIO

import msgspec

from server.redaction import redact
from server.setting_values import LogFile
from server.settings import Settings

_LINE = "%(asctime)s %(levelname)-7s %(message)s"
_TIME = "%H:%M:%S"

DETAIL: Final = 15  # between DEBUG and INFO


class Discretion(logging.Filter):
    """Takes API keys out of records, such as those of requests with `?token=`."""

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if "dk_" in text or "token=" in text:
            record.msg, record.args = redact(text), None
        return True


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
    """Send all records to one place, to further ones and to files; the stream they go to.

    Raises OSError for a file that cannot be written.
    """
    logging.addLevelName(DETAIL, "DETAIL")
    stream = sys.stdout if settings.log_stdout else sys.stderr
    shown = [_handler(settings, stream), *further]
    for handler in shown:
        handler.setLevel("WARNING" if settings.quiet else settings.log_level)
    root = logging.getLogger()
    root.handlers[:] = shown + [_file_handler(settings, file) for file in settings.log_files]
    for handler in root.handlers:
        handler.addFilter(Discretion())
    root.setLevel(min(handler.level for handler in root.handlers))
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
    handler.setFormatter(_formatter(settings, _TIME))
    return handler


def _file_handler(settings: Settings, file: LogFile) -> logging.Handler:
    handler = logging.FileHandler(file.path, encoding="utf-8")
    handler.setFormatter(_formatter(settings, None))  # a file lasts longer than a day
    handler.setLevel(file.level)
    return handler


def _formatter(settings: Settings, time_format: str | None) -> logging.Formatter:
    is_json = settings.log_format == "json"
    return JsonFormatter() if is_json else logging.Formatter(_LINE, time_format)
