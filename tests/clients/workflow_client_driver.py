"""comfyui-workflow-client, its asynchronous half: gives back pictures of Pillow."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

from comfyuiclient import ComfyUIClientAsync
from PIL import Image

task = json.loads(Path(sys.argv[1]).read_text("utf-8"))
HOST = task["address"].removeprefix("http://")


async def generate(file: str, **inputs: Any) -> Image.Image:
    """Run the workflow in a file, with the inputs of one node set."""
    client = ComfyUIClientAsync(HOST, file)
    await client.connect()
    try:
        if inputs:
            await client.set_data(**inputs)
        made = await client.generate(["Save"])
    finally:
        await client.close()
    picture: Image.Image = made["Save"]
    return picture


async def main() -> dict[str, Any]:
    drawn = io.BytesIO()
    (await generate(task["graph_file"], key="KSampler", seed=task["seed"])).save(drawn, "PNG")
    again = await generate(task["graph_file"], key="KSampler", seed=task["seed"])
    shown = await generate(
        task["show_file"], key="LoadImage", image=Image.open(task["picture"]).convert("RGB")
    )
    try:
        await generate(task["bad_file"])
    except ConnectionError as error:
        refusal = str(error)
    return {
        "picture": base64.b64encode(drawn.getvalue()).decode(),
        "repeated": f"{again.width}x{again.height}.png",
        "shown": [*shown.size, *shown.convert("RGB").tobytes()[:3]],
        "refusal": refusal,
    }


print("\n" + json.dumps(asyncio.run(main())))
