"""Pictures that go to the server from the front end, and workflows that come back in pictures."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.browser.editor import EXAMPLES, Editor, look_at, text_to_image
from tests.client import wait_until

pytestmark = pytest.mark.browser

PICTURE = EXAMPLES / "input" / "two_figures.png"


def test_a_picture_is_uploaded_and_used(editor: Editor, tmp_path: Path) -> None:
    new = tmp_path / "from this machine.png"
    Image.new("RGB", (40, 30), "teal").save(new)
    editor.client.upload("/upload/image", "old.png", PICTURE.read_bytes(), overwrite="true")
    editor.open()  # again: the list of pictures comes with the node's definition
    editor.open_workflow("look", look_at("old.png"))
    with editor.page.expect_file_chooser() as chooser:
        editor.click_node("LoadImage", "upload")
    chooser.value.set_files(new)
    editor.wait(f"({editor.picture_of('LoadImage')})?.includes('from+this+machine.png')")
    assert editor.widget("LoadImage", "image") == new.name

    editor.run()
    editor.wait(f"({editor.picture_of('PreviewImage')})?.includes('type=temp')")
    (entry,) = editor.client.get("/history").json().values()
    (shown,) = editor.client.images(entry)
    assert Image.open(io.BytesIO(shown)).size == (40, 30)
    assert editor.errors == []


def test_a_mask_is_painted_and_saved(editor: Editor) -> None:
    editor.client.upload("/upload/image", "plain.png", PICTURE.read_bytes(), overwrite="true")
    editor.open()
    editor.open_workflow("mask", look_at("plain.png"))
    editor.wait(f"({editor.picture_of('LoadImage')})?.includes('plain.png')")
    editor.click_node("LoadImage")
    command = "app.extensionManager.command.execute('Comfy.MaskEditor.OpenMaskEditor')"
    editor.page.evaluate(f"() => {{ {command} }}")
    editor.button("Save").wait_for()
    with_picture = wait_until(lambda: drawn_canvases(editor), what="the picture is shown")
    wait_until(lambda: paint(editor) > with_picture, what="the brush leaves paint")
    editor.button("Save").click()

    editor.button("Save").wait_for(state="hidden")
    name = wait_until(
        lambda: (name := editor.widget("LoadImage", "image")) != "plain.png" and name,
        what="the node takes the masked picture",
    )
    folder, _, file = name.removesuffix(" [input]").rpartition("/")
    masked = editor.client.view({"filename": file, "subfolder": folder, "type": "input"})
    alpha = Image.open(io.BytesIO(masked)).getchannel("A")
    assert alpha.getextrema() == (0, 255)
    assert editor.errors == []


def drawn_canvases(editor: Editor) -> int:
    """How many layers of the mask editor have something on them."""
    count: int = editor.page.evaluate(
        """() => [...document.querySelectorAll("[role=dialog] canvas")].filter((canvas) => {
          const pixels = canvas.width && canvas.getContext("2d")
            ?.getImageData(0, 0, canvas.width, canvas.height).data;
          return pixels?.some((value, index) => index % 4 == 3 && value > 0);
        }).length"""
    )
    return count


def paint(editor: Editor) -> int:
    """Draw a line with the brush; what `drawn_canvases` says then."""
    middle = editor.dialog.locator("canvas").first.bounding_box()
    assert middle is not None
    x, y = middle["x"] + middle["width"] / 2, middle["y"] + middle["height"] / 2
    editor.page.mouse.move(x, y)
    editor.page.mouse.down()
    editor.page.mouse.move(x + 60, y + 20, steps=5)
    editor.page.mouse.up()
    return drawn_canvases(editor)


def test_a_saved_picture_brings_its_workflow_back(editor: Editor) -> None:
    editor.open_workflow("star", text_to_image(1, seed=77))
    editor.run()
    editor.wait(f"({editor.picture_of('SaveImage')})?.includes('/api/view?')")
    (entry,) = editor.client.get("/history").json().values()
    (picture,) = editor.client.images(entry)

    editor.open_workflow("other", look_at("old.png"))
    editor.drop("star.png", picture, "image/png")
    editor.wait("app.graph.nodes.some((node) => node.type == 'KSampler')")
    assert editor.widget("KSampler", "seed") == 77
    assert editor.widget("CheckpointLoaderSimple", "ckpt_name") == "darkroom_starter.safetensors"
