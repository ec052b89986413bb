"""The home of node packs in a worker: what they find there, and what the server hears of them."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib
import itertools
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import msgspec

from executor.definitions import NodeDefinition
from executor.file_options import FileOptionLists
from executor.fingerprint import wanted_packs
from executor.folders import Folders
from executor.kinds import ModelKind, changed_kinds, kinds_of
from executor.messages import (
    Answer,
    Ask,
    Emit,
    Event,
    Execute,
    FoldersChanged,
    Loading,
    PackMessage,
)
from executor.packs import LoadedPacks
from executor.worker.contract import NodeClass
from executor.worker.packs import DescribeClasses, NodeTables, PackLoader
from executor.worker.reporting import encode_json
from executor.worker.request_owner import request_owner
from executor.worker.shared_names import share_names
from executor.worker_config import WorkerConfig
from nodes.context import Services, use_files, use_services

log = logging.getLogger(__name__)

_COMPAT: Final = Path(__file__).resolve().parents[2] / "compat"
_FACADE: Final = "darkroom_compat.prompt_server"  # imported by name: nothing here leans on compat/
_ANSWER_S: Final = 60.0  # that the server has to answer; of large folders it looks at each file


class AskFailed(Exception):
    """The server cannot do what a pack asks of it."""


class ServerLink:
    """The way from packs to the server; implements the `Link` of the facade."""

    def __init__(
        self, config: WorkerConfig, folders: Folders, send: Callable[[Event], None]
    ) -> None:
        self.loop = asyncio.new_event_loop()
        self.address = config.server_address
        self.port = config.server_port
        self.user_folder = folders.user
        self.is_multi_user = config.multi_user
        self.max_body_bytes = config.max_body_bytes
        self.client_id: str | None = None
        self.prompt_id: str | None = None
        self._executing: bytes | None = None  # the last message of that type
        self._send = send
        self._ids = itertools.count(1)
        self._asked: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()

    @property
    def node_id(self) -> str | None:
        """The node that runs, by its id in the prompt."""
        if self._executing is None:
            return None
        data = msgspec.json.decode(self._executing)["data"]
        node_id: str | None = data["display_node"]
        return node_id

    def begin(self, command: Execute) -> None:
        """A prompt starts."""
        self.client_id, self.prompt_id = command.client_id, command.prompt_id

    def see(self, event: Event) -> None:
        """Something is reported about the prompt that runs."""
        if isinstance(event, Emit) and event.type == "executing":
            self._executing = event.text

    def end(self) -> None:
        """The prompt is over."""
        self._executing = None

    def encode(self, value: Any) -> bytes:
        """JSON, as clients are sent it; raises TypeError for what is none."""
        return encode_json(value)

    def send(self, body: bytes, *, is_binary: bool, client_id: str | None) -> None:
        """Send clients one WebSocket message; `client_id` None: to all. From any thread."""
        owner = request_owner.get()
        self._send(PackMessage(body=body, is_binary=is_binary, client_id=client_id, owner=owner))

    def ask(self, method: str, **arguments: Any) -> Any:
        """Ask the server and wait for its answer. Raises AskFailed, TimeoutError."""
        answer: Future[Any] = Future()
        ask_id = next(self._ids)
        with self._lock:
            self._asked[ask_id] = answer
        try:
            self._send(Ask(ask_id=ask_id, method=method, arguments=arguments))
            return answer.result(_ANSWER_S)
        finally:
            with self._lock:
                del self._asked[ask_id]

    def may_use(self, owner: str, path: Path) -> bool:
        """As `executor.worker.owned_folders.FileRights`, as is `claim`."""
        answer: bool = self.ask("may_use", owner=owner, path=str(path))
        return answer

    def claim(self, owner: str, paths: Sequence[Path]) -> None:
        """The owner has written these files. Raises as `ask`."""
        self.ask("claim", owner=owner, paths=[str(path) for path in paths])

    def answered(self, answer: Answer) -> None:
        """An answer has come."""
        with self._lock:
            asked = self._asked.get(answer.ask_id)
        if asked is None:  # whoever asked has given up
            return
        if answer.error is None:
            asked.set_result(answer.result)
        else:
            asked.set_exception(AskFailed(answer.error))


class PackHost:
    """Loads the packs that this worker is to load. Without any it costs nothing."""

    def __init__(self, config: WorkerConfig, send: Callable[[Event], None]) -> None:
        self._config = config
        self.folders = config.folders()
        use_files(FileOptionLists(self.folders))
        # Start-up scripts look for folders and flags as well. What computes comes later.
        use_services(Services(folders=self.folders, flags=msgspec.structs.asdict(config)))
        self._configured = kinds_of(self.folders)
        self._reported: dict[str, ModelKind] = {}
        self.link = ServerLink(config, self.folders, send)
        self.loaded = LoadedPacks()
        self.site: str | None = None  # the path of the socket
        self._send = send
        self._packs = wanted_packs(config)
        self._tables = NodeTables(classes={}, display_names={})
        self._loader: PackLoader | None = None

    def prepare(self) -> None:
        """Make the names that packs import available, and run their start-up scripts.

        To be called before anything heavy is imported: these scripts set variables for it.
        """
        if not self._packs:
            return
        sys.path.insert(0, str(_COMPAT))
        share_names()
        with contextlib.suppress(OSError):
            os.chdir(self.folders.base)  # where packs expect to be
        facade = importlib.import_module(_FACADE).PromptServer
        facade.instance = facade(self.link)
        self._loader = PackLoader(
            self._packs,
            self._tables,
            _Registrations(facade.instance),
            announce=lambda pack: self._send(Loading(pack=pack)),
            left_out=self._config.left_out,
            disabled=frozenset(self._config.disabled_nodes),
            timeout_s=self._config.pack_import_timeout_s,
        )
        self._loader.run_start_scripts()

    def load(
        self,
        classes: dict[str, NodeClass],
        display_names: dict[str, str],
        describe: DescribeClasses,
    ) -> list[NodeDefinition]:
        """Import the packs; their classes and names are added to these tables.

        The definitions of these classes, which `describe` makes.
        """
        if self._loader is None:
            return []
        from executor.worker.pack_site import run_to_end  # aiohttp is not for workers without packs

        tables = self._tables
        tables.classes, tables.display_names = classes, display_names
        _show_tables(tables)
        run_to_end(self.link.loop, self._loader.load())
        definitions = self._loader.describe(describe)
        self._loader.log_times()
        self._open_site(self._loader)
        return definitions

    def folder_news(self) -> FoldersChanged | None:
        """What packs have done to the folders of models since the server was told last."""
        if self._loader is None:
            return None
        kinds = changed_kinds(self._configured, self.folders)
        if kinds == self._reported:
            return None
        self._reported = kinds
        return FoldersChanged(kinds=kinds)

    def stop(self) -> None:
        """Run what packs have registered for the end of the process, which ends without it."""
        if self._loader is None:
            return
        with contextlib.suppress(BaseException):  # each failure has been printed
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # packs put theirs in these places
                stream.flush()

    def _open_site(self, loader: PackLoader) -> None:
        from executor.worker.pack_site import PackSite

        server = importlib.import_module(_FACADE).PromptServer.instance
        site = PackSite(self.link.loop, server.app, server.routes)
        site.add_routes()
        self._reported = changed_kinds(self._configured, self.folders)
        self.loaded = LoadedPacks(
            reports=loader.reports,
            routes=site.routes,
            model_kinds=self._reported,
            has_prompt_hooks=bool(server.on_prompt_handlers),
        )
        if self._config.run_folder is not None:
            try:
                self.site = site.open(Path(self._config.run_folder), server.trigger_on_prompt)
            except Exception:
                log.exception("the routes of node packs cannot be served")
        site.run()


class _Registrations:
    """What packs have registered with the facade. Implements `executor.worker.packs`' protocol."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def mark(self) -> tuple[list[Any], list[Any]]:
        """How things are now."""
        return list(self._server.routes), list(self._server.on_prompt_handlers)

    def undo(self, mark: tuple[list[Any], list[Any]]) -> None:
        """Make them so again; what was done to the application itself stays."""
        routes, handlers = mark
        self._server.routes._items[:] = routes
        self._server.on_prompt_handlers[:] = handlers


def _show_tables(tables: NodeTables) -> None:
    """Let packs find the tables under the names that they know."""
    host: Any = importlib.import_module("nodes")
    host.NODE_CLASS_MAPPINGS = tables.classes
    host.NODE_DISPLAY_NAME_MAPPINGS = tables.display_names
    host.EXTENSION_WEB_DIRS = tables.web_folders
    host.LOADED_MODULE_DIRS = tables.module_folders
