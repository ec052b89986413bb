"""What handlers work with: built once in `server.run`, reached through the application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import web

from executor.folders import Folders
from executor.jobs import Address
from server.access import Access
from server.admission import Admission
from server.devices import Devices
from server.front_end import FrontEnd
from server.hub import Hub
from server.kept_answers import KeptAnswers
from server.log_lines import LogFeed
from server.memory import Memory
from server.pack_files import PackFiles
from server.pack_proxy import PackProxy
from server.prompt_hooks import PromptHooks
from server.scopes import Scope
from server.settings import Settings
from server.uploads import Uploads
from server.user_settings import UserSettings
from server.userdata import UserFiles
from server.users import Users
from server.versions import Versions

if TYPE_CHECKING:  # importing the engine takes as long as all else together
    from executor.engine import Engine
    from server.catalogue import Catalogue

# A row of a route module: method, path without /api, handler, and what a key must allow for it.
Route: TypeAlias = tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]], Scope]


@dataclass(frozen=True, kw_only=True)
class Core:
    """What is there only once the database is open."""

    engine: Engine
    catalogue: Catalogue


@dataclass(frozen=True, kw_only=True)
class Services:
    """All parts of one server."""

    settings: Settings
    versions: Versions
    folders: Folders
    hub: Hub
    uploads: Uploads
    front_end: FrontEnd
    users: Users
    user_settings: UserSettings
    user_files: UserFiles
    pack_files: PackFiles
    logs: LogFeed[Address]
    access: Access = field(default_factory=Access)
    devices: Devices = field(default_factory=Devices)
    memory: Memory = field(default_factory=Memory)
    kept_answers: KeptAnswers = field(default_factory=KeptAnswers)
    pack_proxy: PackProxy = field(default_factory=PackProxy)
    prompt_hooks: PromptHooks = field(init=False)
    admission: Admission = field(init=False)
    starting: asyncio.Future[Core]  # done a moment after the server begins to answer

    def __post_init__(self) -> None:
        hooks = PromptHooks(
            self.pack_proxy,
            startup_wait_s=self.settings.startup_wait,
            wait_s=self.settings.prompt_hook_timeout,
        )
        object.__setattr__(self, "prompt_hooks", hooks)
        object.__setattr__(self, "admission", Admission(self.settings.queue_limit))

    async def core(self) -> Core:
        """The engine, waiting for it in the first moments."""
        return (
            self.starting.result() if self.starting.done() else await asyncio.shield(self.starting)
        )

    async def engine(self) -> Engine:
        return (await self.core()).engine

    def engine_if_started(self) -> Engine | None:
        return self.starting.result().engine if self.starting.done() else None


SERVICES: Final = web.AppKey("services", Services)
# What a key must allow, by method and shape of path (server.api_document.path_shape).
SCOPES: Final = web.AppKey("scopes", dict[tuple[str, str], Scope])
