"""Jobs in the front end: queued with its button, followed, and stopped."""

from __future__ import annotations

import pytest

from tests.browser.editor import LONG, Editor, text_to_image
from tests.client import Client, wait_until

pytestmark = pytest.mark.browser


def queue_sizes(client: Client) -> tuple[int, int]:
    """How many jobs run and wait."""
    queue = client.get("/queue").json()
    return len(queue["queue_running"]), len(queue["queue_pending"])


def start_long_jobs(editor: Editor, count: int) -> None:
    """The page's runs until it is stopped, others' wait behind it; the list of jobs is open."""
    editor.open_workflow("long", text_to_image(LONG))
    editor.run()
    wait_until(lambda: queue_sizes(editor.client) == (1, 0), what="the job runs")
    for seed in range(2, count + 1):
        editor.client.submit(text_to_image(LONG, seed))
    editor.open_queue()


def test_a_running_job_shows_progress_and_previews(editor: Editor) -> None:
    editor.open_workflow("long", text_to_image(LONG))
    editor.run()
    editor.wait(f"({editor.picture_of('KSampler')})?.startsWith('blob:')")
    editor.wait("/\\[[1-9]\\d*%\\]/.test(document.title)")
    assert editor.errors == []


def test_a_workflow_shows_its_picture(editor: Editor) -> None:
    editor.open_workflow("star", text_to_image(20))
    editor.run()
    editor.wait(f"({editor.picture_of('SaveImage')})?.includes('/api/view?')")
    address = editor.page.evaluate(editor.picture_of("SaveImage"))
    (entry,) = editor.client.get("/history").json().values()
    (image,) = next(iter(entry["outputs"].values()))["images"]
    assert image["filename"] in address

    editor.open_queue()
    editor.page.get_by_text(image["filename"]).first.wait_for()
    editor.labelled("Assets").click()
    editor.wait(
        "[...document.querySelectorAll('img')].some((image) => image.naturalWidth == 128 && "
        f"image.getBoundingClientRect().width > 100 && image.src.includes('{image['filename']}'))"
    )
    assert editor.errors == []


def test_a_waiting_job_is_cancelled(editor: Editor) -> None:
    start_long_jobs(editor, 3)

    def is_cancelled() -> bool:
        """The list moves when a job starts: another one may be under the pointer by then."""
        editor.page.get_by_title("In queue").first.hover()
        editor.labelled("Cancel").first.click()
        editor.page.wait_for_timeout(1000)
        return queue_sizes(editor.client) == (1, 1)

    wait_until(is_cancelled, what="one job less waits")


def test_the_queue_is_cleared(editor: Editor) -> None:
    start_long_jobs(editor, 3)
    editor.labelled("Clear queued").click()
    wait_until(lambda: queue_sizes(editor.client) == (1, 0), what="only one job is left")


def test_the_running_job_is_interrupted(editor: Editor) -> None:
    start_long_jobs(editor, 1)
    editor.labelled("Cancel current run").click()
    (entry,) = wait_until(
        lambda: list(editor.client.get("/history").json().values()), what="the job has ended"
    )
    assert "execution_interrupted" in [name for name, _ in entry["status"]["messages"]]
    editor.wait("!/\\[\\d+%\\]/.test(document.title)")


def test_a_job_is_still_followed_after_a_reload(editor: Editor) -> None:
    start_long_jobs(editor, 1)
    editor.open()
    editor.wait("/\\[\\d+%\\]/.test(document.title)")
