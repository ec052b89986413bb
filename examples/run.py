"""Runs workflow files on a server and saves their pictures: a client to copy from.

python examples/run.py examples/inpaint.json --server http://127.0.0.1:8188 --save pictures
"""

from __future__ import annotations

import argparse
import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import aiohttp

INPUT = Path(__file__).parent / "input"


async def upload_inputs(session: aiohttp.ClientSession, workflow: dict[str, Any]) -> None:
    """Upload the pictures that the workflow loads, and put the names they got into it."""
    for node in workflow.values():
        if node["class_type"] not in ("LoadImage", "LoadImageMask"):
            continue
        name = node["inputs"]["image"]
        form = aiohttp.FormData()
        form.add_field("image", (INPUT / name).read_bytes(), filename=name)
        async with session.post("/upload/image", data=form) as response:
            response.raise_for_status()
            node["inputs"]["image"] = (await response.json())["name"]


async def run(session: aiohttp.ClientSession, workflow: dict[str, Any]) -> list[dict[str, str]]:
    """Submit, wait until nothing executes any more, return the pictures of all output nodes."""
    client_id = uuid.uuid4().hex
    async with session.ws_connect("/ws", params={"clientId": client_id}) as socket:
        body = {"prompt": workflow, "client_id": client_id}
        async with session.post("/prompt", json=body) as response:
            answer = await response.json()
        if "prompt_id" not in answer:
            raise SystemExit(f"refused: {json.dumps(answer, indent=2)}")
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue  # a preview
            event = message.json()
            data = event["data"]
            if data.get("prompt_id") != answer["prompt_id"]:
                continue
            if event["type"] == "progress":
                print(f"  step {data['value']} of {data['max']}", end="\r", flush=True)
            if event["type"] == "execution_error":
                raise SystemExit(f"node {data['node_id']}: {data['exception_message']}")
            if event["type"] == "executing" and data["node"] is None:
                break
    async with session.get(f"/history/{answer['prompt_id']}") as response:
        record = (await response.json())[answer["prompt_id"]]
    return [image for output in record["outputs"].values() for image in output["images"]]


async def save(session: aiohttp.ClientSession, image: dict[str, str], folder: Path) -> Path:
    """Fetch one picture and write it to the folder."""
    async with session.get("/view", params=image) as response:
        response.raise_for_status()
        path = folder / image["filename"]
        path.write_bytes(await response.read())
    return path


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workflows", nargs="+", type=Path, help="files in API format")
    parser.add_argument("--server", default="http://127.0.0.1:8188")
    parser.add_argument("--key", help="API key, where the server asks for one")
    parser.add_argument("--save", type=Path, default=Path("pictures"), help="folder to write to")
    options = parser.parse_args()
    options.save.mkdir(parents=True, exist_ok=True)
    headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
    async with aiohttp.ClientSession(options.server, headers=headers) as session:
        for path in options.workflows:
            print(path)
            workflow = json.loads(path.read_text(encoding="utf-8"))
            await upload_inputs(session, workflow)
            for image in await run(session, workflow):
                print(f"  {await save(session, image, options.save)}")


if __name__ == "__main__":
    asyncio.run(main())
