"""Loads torch and all nodes, and makes the engine: everything that takes time at the start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import psutil
import torch

from executor.calls import (
    DESCRIBE,
    DEVICE_STATS,
    MEMORY_STATS,
    VALIDATE_INPUTS,
    CheckRequest,
)
from executor.fingerprint import definitions_fingerprint
from executor.messages import Call, Event, Execute, Free, Ready
from executor.worker.cache import (
    ClassicCache,
    LruCache,
    NoCache,
    RamCache,
    ResultCache,
    tensor_bytes,
)
from executor.worker.checks import validate_inputs
from executor.worker.contract import NodeClass
from executor.worker.describe import describe_each, with_equal_types
from executor.worker.devices import device_entries, versions
from executor.worker.engine import Engine
from executor.worker.interruptions import Interruptions
from executor.worker.memory import free_models, make_policy, memory_advice, memory_stats
from executor.worker.pack_host import PackHost
from executor.worker.upkeep import Upkeep
from executor.worker_config import WorkerConfig
from models import speed
from models.memory import Policy
from nodes.context import NodeSettings, Services, use_services
from nodes.registry import ALL_CLASSES, ALL_DISPLAY_NAMES, NODE_CLASSES


@dataclass(frozen=True, kw_only=True)
class LoadedNodes:
    """Implements `executor.worker.process.Loaded`."""

    config: WorkerConfig
    classes: dict[str, NodeClass]
    engine: Engine
    ready: Ready
    policy: Policy
    host: PackHost

    def execute(self, command: Execute, emit: Callable[[Event], None]) -> None:
        """Run a prompt; node packs are told what it is."""
        link = self.host.link

        def emit_and_see(event: Event) -> None:
            link.see(event)
            emit(event)

        link.begin(command)
        self.engine.execute(command, emit_and_see)
        link.end()
        news = self.host.folder_news()
        if news is not None:
            emit(news)

    def free(self, command: Free) -> None:
        """Give memory back. Only between prompts."""
        if command.free_memory:
            self.engine.clear_results()
        if command.free_memory or command.unload_models:
            free_models(self.policy)

    def answer(self, call: Call) -> Any:
        """Answer a call of the server; raises ValueError for one that is not known."""
        if call.method == VALIDATE_INPUTS:
            request = msgspec.convert(call.arguments, CheckRequest)
            return msgspec.to_builtins(
                validate_inputs(self.classes, request, hide_details=self.config.hide_error_details)
            )
        if call.method == DEVICE_STATS:
            return device_entries(self.config.cpu, self.config.device)
        if call.method == MEMORY_STATS:
            return msgspec.to_builtins(memory_stats(self.policy))
        if call.method == DESCRIBE:
            return self._describe(call.arguments["names"])
        raise ValueError(f"unknown call '{call.method}'")

    def _describe(self, names: list[str]) -> list[Any]:
        known = {name: self.classes[name] for name in names if name in self.classes}
        return [msgspec.to_builtins(x) for x in describe_each(known, ALL_DISPLAY_NAMES)]


def load(config: WorkerConfig, interruptions: Interruptions, host: PackHost) -> LoadedNodes:
    """Load everything; takes seconds."""
    policy = make_policy(config)
    speed.switch_on(config.fast)
    if config.deterministic:
        speed.be_deterministic()
    services = Services(
        folders=host.folders,
        settings=NodeSettings(
            preview_method=config.preview_method,
            preview_size=config.preview_size,
            disable_metadata=config.disable_metadata,
            max_image_pixels=config.max_image_pixels,
            max_media_bytes=config.max_media_bytes,
            max_shader_seconds=config.max_shader_seconds,
            date_folder=config.date_folder,
        ),
        model_policy=policy,
        flags=msgspec.structs.asdict(config),
        interrupt=interruptions.interrupt,
        fetch=config.remote.fetch,
    )
    use_services(services)
    classes, display_names = ALL_CLASSES, ALL_DISPLAY_NAMES
    for name in config.disabled_nodes:
        classes.pop(name, None)
    own = dict(classes)
    of_packs = host.load(classes, display_names, describe_each)
    fingerprint = definitions_fingerprint(config)
    definitions = None
    # A pack may have been mended by what it depends on, which the fingerprint does not cover.
    if of_packs or fingerprint != config.known_fingerprint:
        described = [*describe_each(own, display_names), *of_packs]
        definitions = [msgspec.to_builtins(x) for x in with_equal_types(described, classes)]
    engine = Engine(
        classes,
        services=services,
        cache=_make_cache(config),
        fixed_classes=frozenset(NODE_CLASSES),
        node_scope=torch.inference_mode,
        on_out_of_memory=policy.residents.unload_all,
        memory_advice=memory_advice(config),
        interruptions=interruptions,
        hide_details=config.hide_error_details,
        most_pending_saves=config.most_pending_saves,
        tidy_up=Upkeep().restore,
        rights=host.link,
    )
    ready = Ready(
        devices=device_entries(config.cpu, config.device),
        versions=versions(),
        definitions=definitions,
        fingerprint=fingerprint,
        packs=host.loaded,
        site=host.site,
    )
    return LoadedNodes(
        config=config, classes=classes, engine=engine, ready=ready, policy=policy, host=host
    )


def _make_cache(config: WorkerConfig) -> ResultCache:
    match config.cache_mode:
        case "lru" if config.cache_lru > 0:
            return LruCache(config.cache_lru)
        case "ram":
            return RamCache(
                config.cache_ram_gb * 2**30,
                free_bytes=lambda: psutil.virtual_memory().available,
                size_of=tensor_bytes,
            )
        case "none":
            return NoCache()
        case _:
            return ClassicCache()
