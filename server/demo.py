"""`darkroom demo`: start a server, draw the starter picture through its API, go on serving.

The server is a process of its own and is spoken to as by any client, so that the picture proves the
whole way: HTTP, queue, worker, nodes, model, file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from server.demo_client import DemoClient, DrawingFailed, SavedImage, ShowProgress, Workflow
from server.demo_process import PortInUse, ServerEnded, find_port, start_server
from server.flags import add_flags, read_flags
from server.settings import SettingError, Settings, build_settings

INTERRUPTED = 130  # exit status after Ctrl-C, as shells have it
FLATNESS = 16  # of 255: a picture whose channels all vary less is one flat colour


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What one call of the command shall do."""

    settings: Settings  # of the server that is started
    flags: tuple[str, ...]  # handed to it
    text: str | None  # what to draw instead of the starter workflow's own text
    key: str | None  # API key, where the base folder has some
    once: bool  # end after the picture


def main(argv: Sequence[str]) -> int:
    """Run the command; the exit status is 0 only if a picture was really drawn."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        return asyncio.run(_run(_parse(argv), console))
    except (
        *(SettingError, PortInUse, ServerEnded, DrawingFailed),
        *(OSError, aiohttp.ClientError),
    ) as error:
        console.print(f"darkroom demo: {error}", style="red", markup=False)
        return 1


def starter_workflow(text: str | None = None) -> Workflow:
    """The workflow of examples/text_to_image.json, drawing `text` if one is given."""
    source = resources.files("server").joinpath("text_to_image.json")
    workflow: Workflow = json.loads(source.read_text(encoding="utf-8"))
    if text is not None:
        _positive(workflow)["text"] = text
    return workflow


def check_picture(path: Path, size: tuple[int, int]) -> None:
    """Raise DrawingFailed unless the file is a picture of that size with something on it."""
    try:
        with Image.open(path) as image:
            pixels = image.convert("RGB")
    except OSError as error:
        raise DrawingFailed(f"'{path}' cannot be read as a picture: {error}") from error
    if pixels.size != size:
        raise DrawingFailed(f"'{path}' has size {pixels.size}, not {size}")
    ranges = [channel.getextrema() for channel in pixels.split()]
    if all(high - low < FLATNESS for low, high in ranges):  # type: ignore[operator]
        raise DrawingFailed(f"'{path}' is one flat colour")


def _parse(argv: Sequence[str]) -> Demo:
    parser = argparse.ArgumentParser(
        prog="darkroom demo",
        description="Start a server, draw a picture with the bundled model, go on serving.",
        epilog="All flags of `darkroom serve` are understood too.",
        allow_abbrev=False,
    )
    parser.add_argument("--once", action="store_true", help="end after the picture")
    parser.add_argument("--text", help="what to draw, e.g. 'two pink hearts at night'")
    parser.add_argument("--key", help="API key, if the base folder has some already")
    own, flags = parser.parse_known_args(argv)
    serve = argparse.ArgumentParser(prog="darkroom demo", allow_abbrev=False)
    add_flags(serve)
    parsed = read_flags(serve, serve.parse_args(flags))
    config = Path(parsed.config) if parsed.config else None
    settings = build_settings(parsed.settings, os.environ, config)
    return Demo(settings=settings, flags=tuple(flags), text=own.text, key=own.key, once=own.once)


async def _run(demo: Demo, console: Console) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    host = _reachable(demo.settings.listen[0])
    port = find_port(host, demo.settings.port)
    scheme = "https" if demo.settings.tls_certfile else "http"
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    console.print(f"Starting Darkroom on {address} ...")
    has_picture = False
    try:
        async with start_server((*demo.flags, "--port", str(port))) as server:
            try:
                await server.watch(_draw(demo, address, console))
            except (DrawingFailed, ServerEnded, aiohttp.ClientError):
                server.show_log()
                raise
            has_picture = True
            if demo.once:
                return 0
            console.print("Serving; Ctrl-C ends it.")
            server.show_log()
            return await server.ended()
    except asyncio.CancelledError:
        console.print("Stopped.")
        return 0 if has_picture else INTERRUPTED


async def _draw(demo: Demo, address: str, console: Console) -> None:
    """Draw, check and report the picture."""
    workflow = starter_workflow(demo.text)
    connector = aiohttp.TCPConnector(ssl=False)  # the server is our own child
    headers = {"Authorization": f"Bearer {demo.key}"} if demo.key else {}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        client = DemoClient(session, address)
        seconds = await client.wait_until_it_answers()
        console.print(f"It answers after {seconds:.1f} s; its worker loads PyTorch ...")
        await client.wait_for_node("KSampler")
        console.print(f'Drawing "{_positive(workflow)["text"]}" ...', markup=False)
        started = time.monotonic()
        with _progress_bar(console) as show:
            images = await client.draw(workflow, show)
        seconds = time.monotonic() - started
    if not images:
        raise DrawingFailed("the prompt ended without saving a picture")
    output = demo.settings.output_directory or demo.settings.base_directory / "output"
    path = (output / images[0].subfolder / images[0].filename).absolute()
    size = _inputs(workflow, "EmptyLatentImage")
    check_picture(path, (size["width"], size["height"]))
    console.print(f"Drawn {seconds:.1f} s after it was submitted.")
    _report(console, address, path, images[0])


def _report(console: Console, address: str, path: Path, image: SavedImage) -> None:
    query = urlencode({"filename": image.filename, "subfolder": image.subfolder, "type": "output"})
    rows = {
        "Picture": f"{path}",
        "in a browser": f"{address}/view?{query}",
        "API": f"{address}  (for any ComfyUI client)",
        "queue page": f"{address}/",
        "nodes": f"{address}/object_info",
    }
    for name, value in rows.items():
        console.print(f"  {name:<14}{value}", markup=False)


@contextlib.contextmanager
def _progress_bar(console: Console) -> Iterator[ShowProgress]:
    """A bar that moves with the sampling steps."""
    columns = (TextColumn("  step"), MofNCompleteColumn(), BarColumn())
    no_terminal = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=no_terminal) as bars:
        bar = bars.add_task("", total=None)

        def show(_node: str, value: float, maximum: float) -> None:
            bars.update(bar, completed=value, total=maximum)

        yield show


def _reachable(listen: str) -> str:
    """The address at which a server that listens there can be reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen)


def _inputs(workflow: Workflow, class_type: str) -> dict[str, Any]:
    """The inputs of the workflow's only node of that class."""
    (inputs,) = (node["inputs"] for node in workflow.values() if node["class_type"] == class_type)
    return inputs


def _positive(workflow: Workflow) -> dict[str, Any]:
    """The inputs of the node that says what to draw."""
    node, _output = _inputs(workflow, "KSampler")["positive"]
    return workflow[node]["inputs"]
