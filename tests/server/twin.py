"""A server inside the test's process whose worker follows a script: fast, and without torch.

Everything between HTTP and the worker boundary is real: application, hub, engine, database.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from executor.definitions import NodeDefinition
from executor.engine import Engine, EngineConfig
from executor.folders import CACHE_FOLDER
from executor.memory_worker import MemoryWorker
from executor.messages import Emit, Execute, Finished
from server.app import build_app
from server.broken_requests import answer_in_json
from server.catalogue import Catalogue
from server.features import build_features
from server.front_end import FrontEnd
from server.hub import Hub
from server.listener import HubListener, ProgressLog
from server.locations import build_pack_files, make_folders
from server.log_lines import LogFeed, LogRing
from server.pack_questions import PackQuestions
from server.routes.prompt import submit_prompt
from server.services import Core, Services
from server.settings import MIB, Settings, build_settings
from server.uploads import Uploads
from server.user_settings import UserSettings
from server.userdata import UserFiles
from server.users import Users
from server.versions import Versions
from tests.client import Client

PACKAGES_FOLDER = "packages"  # in the base folder: where a twin looks for installed packages
SLOW_CLASS = "ImageScale"  # the script works on it until it is interrupted


def definition(
    name: str, inputs: dict[str, list[Any]], outputs: list[str], **files: str
) -> NodeDefinition:
    info = {
        "input": {"required": inputs},
        "input_order": {"required": list(inputs)},
        "output": outputs,
        "output_is_list": [False] * len(outputs),
        "output_name": outputs,
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": "nodes",
        "category": "image",
        "output_node": not outputs,
    }
    return NodeDefinition(name=name, info=info, file_options=files)


SIZE = ["INT", {"default": 512, "min": 1, "max": 16384}]
DEFINITIONS = [
    definition(
        "EmptyImage",
        {
            "width": SIZE,
            "height": SIZE,
            "batch_size": ["INT", {"min": 1, "max": 4096}],
            "color": ["INT", {"min": 0, "max": 0xFFFFFF}],
        },
        ["IMAGE"],
    ),
    definition(
        SLOW_CLASS,
        {
            "image": ["IMAGE"],
            "upscale_method": [["bilinear", "lanczos"]],
            "width": SIZE,
            "height": SIZE,
            "crop": [["disabled", "center"]],
        },
        ["IMAGE"],
    ),
    definition(
        "LoadImage", {"image": [[], {"image_upload": True}]}, ["IMAGE"], image="input_images"
    ),
    definition("CheckpointLoaderSimple", {"ckpt_name": [[]]}, ["MODEL"], ckpt_name="checkpoints"),
    definition(
        "ImageScaleToMaxDimension",
        {"image": ["IMAGE"], "upscale_method": [["lanczos"]], "largest_size": SIZE},
        ["IMAGE"],
    ),
    definition("PreviewImage", {"images": ["IMAGE"]}, []),
    definition("SaveImage", {"images": ["IMAGE"]}, []),
]


class Script:
    """Runs prompts as a worker would, as far as clients can see; it draws nothing."""

    def __init__(self) -> None:
        self._cached: dict[str, dict[str, Any]] = {}  # graph -> outputs
        self._freed = 0

    async def __call__(self, worker: MemoryWorker, command: Execute) -> None:
        if len(worker.freed) > self._freed:
            self._freed = len(worker.freed)
            self._cached.clear()
        graph = json.dumps(command.prompt)
        known = self._cached.get(graph)
        start = self._body(command)
        cached = self._body(command) | {"nodes": list(command.prompt) if known else []}
        worker.report(_emit(command, "execution_start", start))
        worker.report(_emit(command, "execution_cached", cached))
        messages = [("execution_start", start), ("execution_cached", cached)]
        outputs: dict[str, Any] = {}
        for node_id, node in command.prompt.items():
            node_body = {"node": node_id, "display_node": node_id, "prompt_id": command.prompt_id}
            if not known:
                worker.report(_emit(command, "executing", node_body))
            if node["class_type"] == SLOW_CLASS:
                await worker.interrupted(command.prompt_id)
                return self._interrupted(worker, command, node_id, messages)
            if node_id in command.outputs:
                image = {"filename": "x.png", "subfolder": "", "type": "temp"}
                outputs[node_id] = {"images": [image]}
                executed = node_body | {"output": outputs[node_id]}
                worker.report(_emit(command, "executed", executed))
        self._cached[graph] = outputs
        success = self._body(command)
        worker.report(_emit(command, "execution_success", success))
        messages.append(("execution_success", success))
        meta = {node_id: {"node_id": node_id} for node_id in outputs}
        worker.report(_finished(command, messages, succeeded=True, outputs=outputs, meta=meta))
        return None

    def _interrupted(
        self, worker: MemoryWorker, command: Execute, node_id: str, messages: list[Any]
    ) -> None:
        body = self._body(command) | {"node_id": node_id, "node_type": SLOW_CLASS, "executed": []}
        worker.report(_emit(command, "execution_interrupted", body, to_all=True))
        messages.append(("execution_interrupted", body))
        worker.report(_finished(command, messages, interrupted=True))

    @staticmethod
    def _body(command: Execute) -> dict[str, Any]:
        return {"prompt_id": command.prompt_id, "timestamp": int(time.time() * 1000)}


def _emit(command: Execute, kind: str, data: dict[str, Any], *, to_all: bool = False) -> Emit:
    text = json.dumps({"type": kind, "data": data}).encode()
    return Emit(prompt_id=command.prompt_id, type=kind, text=text, to_all_if_no_client=to_all)


def _finished(command: Execute, messages: list[Any], **more: Any) -> Finished:
    fields: dict[str, Any] = {"succeeded": False, "interrupted": False, "outputs": {}, "meta": {}}
    return Finished(prompt_id=command.prompt_id, messages=messages, **(fields | more))


class Twin:
    """The server, in a thread of its own."""

    def __init__(self, settings: Settings, **worker_options: Any) -> None:
        self.settings = settings
        self.worker_options = worker_options
        self.workers: list[MemoryWorker] = []
        self.folders = make_folders(settings)
        self.log_ring = LogRing(settings.log_lines)
        self.address = ""
        self.app: web.Application
        self._is_up = threading.Event()
        self.loop = asyncio.new_event_loop()
        self._end: asyncio.Event
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        logging.getLogger().addHandler(self.log_ring)
        self._thread.start()
        assert self._is_up.wait(60)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        logging.getLogger().removeHandler(self.log_ring)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            try:
                runner.run(self._serve())
            except BaseException as error:
                self._failure = error
            finally:
                self._is_up.set()

    def _make_worker(self, name: str) -> MemoryWorker:
        worker = MemoryWorker(name, Script(), definitions=DEFINITIONS, **self.worker_options)
        self.workers.append(worker)
        return worker

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        settings = self.settings
        features = build_features(settings.max_upload_bytes, settings.feature_flags)
        hub = Hub(
            features,
            buffer_limit=int(settings.websocket_buffer * MIB),
            socket_limit=settings.websocket_limit,
        )
        services = Services(
            settings=settings,
            versions=Versions.read(),
            folders=self.folders,
            hub=hub,
            front_end=FrontEnd.find(
                settings.front_end_root,
                [str(self.folders.base / PACKAGES_FOLDER)],
                self.folders.user / CACHE_FOLDER,
            ),
            uploads=Uploads(self.folders, settings.upload_hash),
            users=Users(self.folders.user, multi_user=settings.multi_user),
            user_settings=UserSettings(settings.max_upload_bytes),
            user_files=UserFiles(),
            pack_files=build_pack_files(settings, self.folders),
            logs=LogFeed(self.log_ring, hub.find),
            starting=self.loop.create_future(),
        )
        engine = await Engine.start(
            EngineConfig(folders=self.folders, startup_wait_s=20),
            HubListener(hub, ProgressLog()),
            self._make_worker,
        )

        async def submit(body: dict[str, Any]) -> Any:
            return (await submit_prompt(engine, body)).answer

        engine.dispatcher.on_ask = PackQuestions(engine, hub, submit).answer
        hub.running_for = engine.dispatcher.running_for
        hub.remaining_of = engine.dispatcher.remaining_of
        catalogue = Catalogue(engine.definitions, engine.options, wait_s=20)
        services.starting.set_result(Core(engine=engine, catalogue=catalogue))
        self.app = build_app(services)
        runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        answer_in_json(runner)
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._is_up.set()
        try:
            await self._end.wait()
        finally:
            services.logs.close()
            hub.close()
            await runner.cleanup()
            await engine.stop()


@contextmanager
def running_twin(base: Path, **settings: object) -> Iterator[Client]:
    """A client of a twin with these settings, served from `base`."""
    twin = Twin(build_settings({"base_directory": str(base)} | settings, {}))
    twin.start()
    try:
        yield Client(twin.address)
    finally:
        twin.stop()
