"""How the log looks."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.jobs import Job, JobState
from executor.messages import Log, Progress
from server.hub import Hub
from server.listener import HubListener, ProgressLog
from server.log import DETAIL, JsonFormatter, is_interactive, set_up_logging
from server.log_lines import LogRing
from server.setting_values import LogFile
from server.settings import Settings
from server.terminal import ProgressBars, rich_handler


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, as it was, afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = handlers, level


def record(message: str, *arguments: object, error: bool = False) -> logging.LogRecord:
    exc_info = None
    if error:
        try:
            raise ValueError("broken")
        except ValueError:
            exc_info = sys.exc_info()
    return logging.LogRecord("some.place", logging.WARNING, "f", 1, message, arguments, exc_info)


def progress(value: float, prompt_id: str = "p") -> Progress:
    return Progress(prompt_id=prompt_id, node_id="3", class_type="KSampler", value=value, maximum=4)


def job(state: JobState, error: str | None = None) -> Job:
    return Job(
        prompt_id="p",
        number=0,
        prompt=b"{}",
        extra_data=b"{}",
        outputs_to_execute=(),
        created_at=0,
        state=state,
        started_at=1000,
        ended_at=2500,
        error=error,
    )


def test_a_json_line_has_time_level_logger_and_message() -> None:
    line = json.loads(JsonFormatter().format(record("two\n%s", "lines")))
    assert set(line) == {"time", "level", "logger", "message"}
    assert (line["level"], line["logger"]) == ("warning", "some.place")
    assert line["message"] == "two\nlines"


def test_a_json_line_of_an_error_has_its_traceback_on_the_same_line() -> None:
    text = JsonFormatter().format(record("failed", error=True))
    assert "\n" not in text
    assert "ValueError: broken" in json.loads(text)["traceback"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), logging.INFO),
        (Settings(log_level="DEBUG"), logging.DEBUG),
        (Settings(log_level="DEBUG", quiet=True), logging.WARNING),
    ],
)
def test_the_level_is_that_of_the_settings(
    settings: Settings, expected: int, root_logger: logging.Logger
) -> None:
    set_up_logging(settings)
    assert root_logger.level == expected


def test_lines_go_where_the_settings_say(capsys: pytest.CaptureFixture[str]) -> None:
    for to_stdout in (True, False):
        set_up_logging(Settings(log_stdout=to_stdout))
        logging.getLogger("x").warning("hello")
        out, err = capsys.readouterr()
        assert ("hello" in out, "hello" in err) == (to_stdout, not to_stdout)


def test_a_file_gets_lines_of_its_own_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = (LogFile("DETAIL", tmp_path / "a"), LogFile("ERROR", tmp_path / "b"))
    set_up_logging(Settings(log_files=files))
    logger = logging.getLogger("x")
    for level in (logging.DEBUG, DETAIL, logging.INFO, logging.ERROR):
        logger.log(level, "level %d", level)
    close_files()
    texts = [(tmp_path / name).read_text() for name in ("a", "b")]
    assert [re.findall(r"level (\d+)", text) for text in texts] == [["15", "20", "40"], ["40"]]
    assert "DETAIL" in texts[0]
    assert re.findall(r"level (\d+)", capsys.readouterr().err) == ["20", "40"]


def close_files() -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.close()


def test_further_handlers_get_what_the_console_gets() -> None:
    ring = LogRing(9)
    set_up_logging(Settings(log_level="WARNING"), ring)
    logging.getLogger("x").info("quiet")
    logging.getLogger("x").error("loud")
    assert [entry.m for entry in ring.since(0)[0]] == ["ERROR   loud\n"]


def test_only_a_terminal_with_text_is_interactive() -> None:
    assert is_interactive(Settings(), Terminal())
    assert not is_interactive(Settings(log_format="json"), Terminal())
    assert not is_interactive(Settings(), io.StringIO())


def test_a_terminal_shows_lines_and_bars() -> None:
    terminal = Terminal()
    handler = rich_handler(terminal)
    handler.handle(record("a [bracketed] word"))
    bars = ProgressBars(terminal)
    bars.show(progress(1))
    bars.show(progress(2))
    bars.show(progress(4))
    bars.forget("p")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "a [bracketed] word" in shown
    assert "KSampler (node 3)" in shown


def test_a_bar_of_an_interrupted_job_goes_away() -> None:
    bars = ProgressBars(Terminal())
    bars.show(progress(1, "other"))
    bars.show(progress(1))
    bars.forget("p")
    bars.show(progress(4, "other"))
    bars.forget("other")


def test_without_a_terminal_a_node_gets_one_line_at_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    view = ProgressLog()
    with caplog.at_level(logging.DEBUG):
        for value in (1, 2, 3, 4):
            view.show(progress(value))
    (line,) = caplog.messages
    assert line.startswith("KSampler (node 3): 4 steps in 0.")


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (job(JobState.SUCCEEDED), "prompt p done in 1.50 s"),
        (job(JobState.INTERRUPTED), "prompt p interrupted"),
        (job(JobState.FAILED, "node 3: no memory"), "prompt p failed: node 3: no memory"),
    ],
)
def test_the_end_of_a_job_is_one_line(
    caplog: pytest.LogCaptureFixture, ended: Job, expected: str
) -> None:
    listener = HubListener(Hub({}, buffer_limit=1), ProgressLog())
    with caplog.at_level(logging.INFO):
        listener.on_finished(ended)
    assert caplog.messages == [expected]


def test_records_of_a_worker_are_logged_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    listener = HubListener(Hub({}, buffer_limit=1), ProgressLog())
    listener.on_log("w", Log(level=logging.ERROR, logger="models.load", message="100 % broken"))
    assert caplog.record_tuples == [("models.load", logging.ERROR, "100 % broken")]
