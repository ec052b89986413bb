"""Runs the server from start to end: it answers at once and opens its engine meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import importlib
import logging
import os
import resource
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

from aiohttp import web

from executor.folders import CACHE_FOLDER
from server.access import Access
from server.app import build_app
from server.broken_requests import answer_in_json
from server.features import build_features
from server.folder_lock import FolderInUse, held
from server.front_end import FrontEnd
from server.housekeeping import Housekeeping, limits_of
from server.hub import Hub
from server.images import limit_pixels
from server.keys import KeyFileUnreadable
from server.listener import ProgressLog, ProgressView
from server.locations import build_pack_files, make_folders
from server.log import is_interactive
from server.log_lines import LogFeed, LogRing
from server.services import Core, Services
from server.settings import MIB, Settings
from server.uploads import Uploads
from server.user_settings import UserSettings
from server.userdata import UserFiles
from server.users import Users
from server.versions import Versions

if TYPE_CHECKING:
    from executor.engine import Engine

log = logging.getLogger(__name__)

_LAST_ANSWERS_S: Final = 0.5  # how long requests in progress have at the end
_MANY_FILES: Final = 1 << 16  # that may be open at the same time
_NO_MORE_FILES: Final = (errno.EMFILE, errno.ENFILE)
_SAY_AGAIN_S: Final = 10.0
_MANY_CLIENTS: Final = 1024  # connections that wait to be accepted


class CannotServe(Exception):
    """The server cannot start; the message says why."""


async def serve(settings: Settings, progress: ProgressView, log_ring: LogRing) -> None:
    """Serve until a signal comes, or until nodes are loaded with `quick_test`.

    Raises CannotServe, OSError, ExtraPathsError.
    """
    try:
        access = await asyncio.to_thread(Access.open, settings)
    except KeyFileUnreadable as error:
        raise CannotServe(str(error)) from None
    check_exposure(settings, access)
    try:
        user = settings.user_directory or settings.base_directory / "user"
        with held(settings.base_directory, os.getpid(), user):  # before anything is touched
            await _serve(settings, access, progress, log_ring)
    except FolderInUse as error:
        raise CannotServe(str(error)) from None


def check_exposure(settings: Settings, access: Access) -> None:
    """Let nobody open a machine to others by accident: raises CannotServe."""
    if access.is_on:
        if not access.has_valid_keys:
            log.warning("no API key is valid: make one with `darkroom keys create NAME`")
        return
    if not settings.listens_for_others:
        return
    where = ", ".join(settings.listen)
    if not settings.allow_anonymous:
        raise CannotServe(
            f"to listen on {where} is to let everybody who reaches this port run workflows and see "
            "all jobs. Either make a key, which requests must then have: `darkroom keys create "
            f"NAME --base-directory {settings.base_directory}`; or add --allow-anonymous (or set "
            "DARKROOM_ALLOW_ANONYMOUS=1) if that is what you want, for example behind a proxy that "
            "knows its users"
        )
    log.warning("everybody who reaches %s may run workflows and see all jobs: no API keys", where)


async def _serve(
    settings: Settings, access: Access, progress: ProgressView, log_ring: LogRing
) -> None:
    _allow_many_files()
    asyncio.get_running_loop().set_exception_handler(_LoopErrors())
    ended = _ended_by_signal()
    limit_pixels(settings.most_pixels)
    folders = await asyncio.to_thread(make_folders, settings)
    cache = folders.user / CACHE_FOLDER
    features = build_features(settings.max_upload_bytes, settings.feature_flags)
    hub = Hub(
        features,
        buffer_limit=int(settings.websocket_buffer * MIB),
        socket_limit=settings.websocket_limit,
    )
    services = Services(
        settings=settings,
        versions=await asyncio.to_thread(Versions.read),
        folders=folders,
        access=access,
        hub=hub,
        uploads=Uploads(folders, settings.upload_hash),
        front_end=await asyncio.to_thread(FrontEnd.find, settings.front_end_root, sys.path, cache),
        users=Users(folders.user, multi_user=settings.multi_user),
        user_settings=UserSettings(settings.max_upload_bytes),
        user_files=UserFiles(),
        pack_files=build_pack_files(settings, folders),
        logs=LogFeed(log_ring, hub.find),
        starting=asyncio.get_running_loop().create_future(),
    )
    housekeeping = Housekeeping(folders, limits_of(settings))
    async with _listening(settings, build_app(services)) as port:
        pinging = asyncio.create_task(_ping(hub, settings.websocket_heartbeat))
        watching = asyncio.create_task(access.watch())
        try:
            async with _engine(services, port, progress) as engine:
                if settings.quick_test:
                    await engine.pool.wait_ready(settings.startup_wait)
                else:
                    keeping = asyncio.create_task(housekeeping.run(engine.store))
                    await ended.wait()
                    keeping.cancel()
                    log.info("stopping")
        finally:
            pinging.cancel()
            watching.cancel()
            services.logs.close()
            hub.close()


def _allow_many_files() -> None:
    """Sockets of clients count as files, of which many systems allow 1024 unless asked for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _LoopErrors:
    """Logs what goes wrong in the event loop.

    While the process has no file for another connection, asyncio reports it a thousand times a
    second; it is said once in a while.
    """

    def __init__(self) -> None:
        self._not_before = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _NO_MORE_FILES:
            loop.default_exception_handler(context)
        elif loop.time() >= self._not_before:
            self._not_before = loop.time() + _SAY_AGAIN_S
            log.warning("connections wait until others are closed: %s", error.strerror)


def _ended_by_signal() -> asyncio.Event:
    """Set by the first signal that asks to end; the next one ends the process the hard way.

    SIGHUP, of a terminal that goes away, is one of them, unless we were told to ignore it (nohup).
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def end() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
        ended.set()

    for number in numbers:
        loop.add_signal_handler(number, end)
    return ended


@asynccontextmanager
async def _listening(settings: Settings, app: web.Application) -> AsyncIterator[int]:
    """Answer requests; the port of the first address."""
    access_log = logging.getLogger("server.access") if settings.access_log else None
    runner = web.AppRunner(
        app,
        access_log=access_log,
        shutdown_timeout=_LAST_ANSWERS_S,
        keepalive_timeout=settings.idle_timeout,
    )
    await runner.setup()
    answer_in_json(runner)
    try:
        for host in settings.listen:
            await _listen(runner, host, settings)
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, settings: Settings) -> None:
    context = _tls_context(settings)
    site = web.TCPSite(runner, host, settings.port, ssl_context=context, backlog=_MANY_CLIENTS)
    try:
        await site.start()
    except OSError as error:
        if len(settings.listen) > 1 and ":" in host:  # no IPv6 here
            log.warning("cannot listen on %s: %s", host, error.strerror)
            return
        raise CannotServe(
            f"cannot listen on {host} port {settings.port}: {error.strerror}; "
            "another --port may be free"
        ) from error
    port = runner.addresses[-1][1]
    scheme = "https" if context else "http"
    log.info("listening on %s://%s:%d", scheme, f"[{host}]" if ":" in host else host, port)


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certfile is None and settings.tls_keyfile is None:
        return None
    if settings.tls_certfile is None or settings.tls_keyfile is None:
        raise CannotServe("https needs both --tls-keyfile and --tls-certfile")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certfile, settings.tls_keyfile)
    except OSError as error:  # SSLError is one too
        raise CannotServe(f"the certificate or its key cannot be used: {error}") from error
    return context


@asynccontextmanager
async def _engine(services: Services, port: int, progress: ProgressView) -> AsyncIterator[Engine]:
    """The engine, started while requests are answered already."""
    # Packs ask for the port; the setting may leave it open.
    settings = dataclasses.replace(services.settings, port=port)
    folders, access, hub = services.folders, services.access, services.hub
    # In a thread, because importing SQLAlchemy takes as long as all the rest.
    assembly = await asyncio.to_thread(importlib.import_module, "server.assembly")
    try:
        core: Core = await assembly.start_core(settings, folders, access, hub, progress)
    except BaseException as error:
        services.starting.set_exception(error)
        services.starting.exception()  # seen: it need not be logged again
        raise
    services.starting.set_result(core)
    try:
        yield core.engine
    finally:
        await core.engine.stop()


def progress_view(settings: Settings, stream: TextIO) -> ProgressView:
    """How the stream that is logged to shows the progress of nodes."""
    if is_interactive(settings, stream):
        from server.terminal import ProgressBars  # rich costs start-up time

        return ProgressBars(stream)
    return ProgressLog()


async def _ping(hub: Hub, every_s: float) -> None:
    while every_s > 0:
        await asyncio.sleep(every_s)
        hub.ping()
