"""comfy-script: nodes as Python functions, made from /object_info."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
import threading
from pathlib import Path
from typing import Any

from comfy_script.runtime import Workflow, load, queue

task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
load(task["address"])

from comfy_script.runtime import nodes  # noqa: E402 (they exist once they are loaded)


def draw(steps: int, checkpoint: str = "darkroom_starter.safetensors") -> Any:
    """Put the example into the queue; the workflow and its last node."""
    with Workflow() as workflow:
        model, clip, vae = nodes.CheckpointLoaderSimple(checkpoint)
        positive = nodes.CLIPTextEncode("a happy red star on a sky blue background", clip)
        negative = nodes.CLIPTextEncode("", clip)
        latent = nodes.EmptyLatentImage(128, 128, 1)
        latent = nodes.KSampler(
            model, task["seed"], steps, 5.0, "euler", "normal", positive, negative, latent, 1
        )
        saved = nodes.SaveImage(nodes.VAEDecode(latent, vae), "script")
    return workflow, saved


progress: list[list[int]] = []
workflow, saved = draw(task["steps"])
workflow.task.add_progress_callback(lambda p: progress.append([p.value, p.max]))
picture = io.BytesIO()
workflow.task.wait_result(saved).wait()[0].save(picture, "PNG")

repeated, saved = draw(task["steps"])
again = repeated.task.wait_result(saved)

# What it says about a refusal, it prints.
with contextlib.redirect_stdout(io.StringIO()) as said:
    draw(1, "none.safetensors")

long, saved = draw(5000)
is_running = threading.Event()
long.task.add_progress_callback(lambda _: is_running.set())
is_running.wait(60)
queue.cancel_current()
outputs = long.task.wait()

result = {
    "picture": base64.b64encode(picture.getvalue()).decode(),
    "progress": progress,
    "repeated": again._output["images"][0]["filename"],
    "refusal": said.getvalue(),
    "cancelled": {"id": long.task.prompt_id, "saw": f"interrupted, {len(outputs)} outputs"},
    "models": [checkpoint.value for checkpoint in nodes.CheckpointLoaderSimple.ckpt_name],
}
print("\n" + json.dumps(result))
