"""The web front end as a person uses it: what is on the page, and what to do with it.

Buttons are found by what a person reads; nodes, which are drawn on a canvas, by the front end's
`window.app`.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import ConsoleMessage, Locator, Page, Route, TimeoutError

from tests.client import Client, wait_until

EXAMPLES: Final = Path(__file__).parent.parent.parent / "examples"
_PATIENCE_MS: Final = 90_000  # generous: machines that run tests may be busy
LONG: Final = 5000  # steps of a job that does not end by itself

# The front end asks for these, and does without them where they are missing.
_OPTIONAL: Final = ("/user.css", "/userdata/", "/userdata?")

# A file dropped on the canvas, as a file manager would.
_DROP: Final = """([name, type, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  const canvas = document.querySelector("#graph-canvas");
  const box = canvas.getBoundingClientRect();
  const where = { clientX: box.left + box.width / 2, clientY: box.bottom - 20 };
  for (const kind of ["dragover", "drop"])
    canvas.dispatchEvent(new DragEvent(kind,
      { bubbles: true, cancelable: true, dataTransfer: transfer, ...where }));
}"""

# Resolves when the view of the canvas, which glides, has not moved for some frames.
_STANDS_STILL: Final = """() => new Promise((resolve) => {
  let seen = "", frames = 0;
  const look = () => {
    const { scale, offset } = app.canvas.ds;
    const now = JSON.stringify([scale, ...offset]);
    frames = now == seen ? frames + 1 : 0;
    seen = now;
    frames < 15 ? requestAnimationFrame(look) : resolve();
  };
  look();
})"""


@dataclass
class Editor:
    """One opened front end."""

    page: Page
    client: Client  # of the same server
    version: str
    errors: list[str] = field(default_factory=list)  # in the console, those that matter

    @property
    def is_old(self) -> bool:
        return self.version.startswith("1.35.")

    def prepare(self) -> None:
        """Note errors, keep to this machine, be no first visitor."""
        self.page.set_default_timeout(_PATIENCE_MS)
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        self.page.context.route("**/*", self._stay_here)
        self.client.post("/settings", {"Comfy.TutorialCompleted": True})

    def _stay_here(self, route: Route) -> None:
        if route.request.url.startswith(self.client.address):
            route.fallback()
        else:
            route.abort()

    def _note_console(self, message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        is_ours = url.startswith(self.client.address)
        if message.type == "error" and is_ours and not any(part in url for part in _OPTIONAL):
            self.errors.append(f"{message.text} ({url})")

    def open(self) -> None:
        """Load the page; returns when it can be used."""
        self.page.goto(self.client.address)
        self.run_button.wait_for()
        self.wait("window.app?.graph?.nodes.length > 0 && LiteGraph.registered_node_types.KSampler")
        self.page.locator(".p-blockui-mask, #splash-loader").wait_for(state="detached")

    def wait(self, expression: str) -> None:
        """Wait until the page's JavaScript finds this true."""
        self.page.wait_for_function(f"() => !!({expression})")

    # what is on the page

    @property
    def run_button(self) -> Locator:
        return self.page.get_by_role("button", name="Run", exact=True).first

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def button(self, text: str) -> Locator:
        """A button with this text in it."""
        return self.page.locator("button:visible").filter(has_text=re.compile(f"^\\s*{text}\\s*$"))

    def labelled(self, label: str) -> Locator:
        """A button with a picture, by its label; some have their shortcut behind it."""
        return self.page.locator(f'button[aria-label="{label}"], button[aria-label^="{label} ("]')

    def classes(self) -> set[str]:
        """The classes of the nodes on the canvas."""
        return set(self.page.evaluate("app.graph.nodes.map((node) => node.type)"))

    def widget(self, class_name: str, name: str) -> Any:
        """The value in a field of the node of that class."""
        return self.page.evaluate(
            "([type, name]) => app.graph.nodes.find((node) => node.type == type)"
            ".widgets.find((widget) => widget.name == name).value",
            [class_name, name],
        )

    def picture_of(self, class_name: str) -> str:
        """JavaScript for the address of the picture that is drawn on the node of that class."""
        return f"app.graph.nodes.find((node) => node.type == '{class_name}').imgs?.[0]?.src"

    # what a person does

    def drop(self, name: str, content: bytes, content_type: str) -> None:
        """Drop a file on the canvas."""
        text = base64.b64encode(content).decode()
        self.page.evaluate(_DROP, [name, content_type, text])

    def open_workflow(self, name: str, graph: dict[str, Any]) -> None:
        """Open a workflow's file and see all of it."""
        self.drop(f"{name}.json", json.dumps(graph).encode(), "application/json")
        classes = json.dumps(sorted(node["class_type"] for node in graph.values()))
        self.wait(
            f"JSON.stringify(app.graph.nodes.map((node) => node.type).sort()) == "
            f"JSON.stringify({classes})"
        )
        self.labelled("Fit View").click()
        self.page.evaluate(_STANDS_STILL)

    def run(self) -> None:
        """Queue the workflow with the button, which misses a click while the page is busy.

        A click that comes late, after the next one, would queue it twice: patience before that.
        """

        def is_asked_for() -> bool:
            try:
                with self.page.expect_request("**/api/prompt", timeout=30_000):
                    self.run_button.click()
            except TimeoutError:
                return False
            return True

        wait_until(is_asked_for, what="the page asks for a run", deadline_s=100)

    def open_queue(self) -> None:
        """Show the list of jobs."""
        if self.is_old:
            self.labelled("Expand job queue").first.click()
        else:
            summary = self.button("View all jobs")  # there by itself while a job runs
            shown = summary.or_(self.labelled("Filter jobs")).first
            wait_until(lambda: self._toggles(shown), what="the list of jobs is shown")
            if summary.is_visible():
                summary.click()

    def _toggles(self, shown: Locator) -> bool:
        """Press the button; whether that showed it: it may have hidden what was just there."""
        self.page.get_by_test_id("queue-overlay-toggle").click()
        try:
            shown.wait_for(timeout=3000)
        except TimeoutError:
            return False
        return True

    def click_node(self, class_name: str, widget: str | None = None) -> None:
        """Click the title of the node of that class, or one of its fields."""
        x, y = self.page.evaluate(
            """([type, name]) => {
              const node = app.graph.nodes.find((node) => node.type == type);
              const field = node.widgets?.find((widget) => widget.name == name);
              const below = field ? field.last_y + 10 : -12;
              const offset = app.canvas.ds.convertOffsetToCanvas(
                [node.pos[0] + node.size[0] / 2, node.pos[1] + below]);
              const box = app.canvas.canvas.getBoundingClientRect();
              return [box.left + offset[0], box.top + offset[1]];
            }""",
            [class_name, widget],
        )
        self.page.mouse.click(x, y)


def text_to_image(steps: int, seed: int = 1) -> dict[str, Any]:
    """The example workflow for the model that ships with Darkroom."""
    graph: dict[str, Any] = json.loads((EXAMPLES / "text_to_image.json").read_text("utf-8"))
    sampler = next(node for node in graph.values() if node["class_type"] == "KSampler")
    sampler["inputs"] |= {"steps": steps, "seed": seed}
    return graph


def look_at(picture: str) -> dict[str, Any]:
    """A workflow that shows an uploaded picture."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": picture}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
