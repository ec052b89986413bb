"""The worker's memory: the policy that the settings ask for, what is held, and giving it back."""

from __future__ import annotations

import logging

import psutil

from executor.calls import LoadedModel, MemoryStats
from executor.worker_config import WorkerConfig
from models.attention_kernels import Attention, Kernel, why_not
from models.devices import HOME, trim_heap
from models.memory import Policy, choose_policy

log = logging.getLogger(__name__)

_GB = 2**30


def make_policy(config: WorkerConfig) -> Policy:
    """Devices, number types and budgets."""
    return choose_policy(
        cpu=config.cpu,
        force=config.force_precision,
        unet=config.unet_precision,
        vae=config.vae_precision,
        text=config.text_precision,
        cpu_vae=config.cpu_vae,
        vram=config.vram_mode,
        reserve_bytes=int(config.reserve_vram_gb * _GB),
        max_vram=_bytes(config.max_vram_gb),
        max_ram=_bytes(config.max_ram_gb),
        attention=Attention(_kernel(config), upcast=config.upcast_attention),
    )


def _kernel(config: WorkerConfig) -> Kernel:
    """What computes attention: torch, where what was asked for does not work."""
    reason = why_not(config.attention)
    if reason is None:
        return config.attention
    log.error("attention is computed by torch, not by '%s': %s", config.attention, reason)
    return "pytorch"


def _bytes(gigabytes: float) -> int | None:
    return int(gigabytes * _GB) if gigabytes else None


def memory_advice(config: WorkerConfig) -> str:
    """What to do when not even the lowest rung of models.out_of_memory has helped."""
    smaller = "use a smaller size or batch"
    if config.cpu:
        return f"{smaller}, or bound what weights take with --max-ram"
    match config.vram_mode:
        case "none":
            return f"{smaller}, or compute on the CPU with --cpu"
        case "low":
            return f"{smaller}, or start with --novram"
        case _:
            return f"{smaller}, or start with --lowvram"


def free_models(policy: Policy) -> None:
    """Let go of all models that nobody holds, have the others rest, and give the memory back."""
    before = psutil.Process().memory_info().rss
    policy.library.clear()
    policy.residents.unload_all()
    trim_heap()
    after = psutil.Process().memory_info().rss
    log.info("models were freed: %d MB of memory before, %d after", before // 10**6, after // 10**6)


def memory_stats(policy: Policy) -> MemoryStats:
    """What this process holds; may be asked for while a prompt runs."""
    residents, library = policy.residents, policy.library
    devices = {policy.device, policy.vae_device, policy.text_device, HOME}
    models = [
        LoadedModel(
            name=type(network.module).__name__,
            device=str(device),
            bytes=held,
            is_streaming=network.is_streaming,
        )
        for network in residents.networks()
        for device in sorted(devices, key=str)
        if (held := network.bytes_on(device))
    ]
    return MemoryStats(
        rss=psutil.Process().memory_info().rss,
        files=len(library),
        file_loads=library.builds,
        loads=residents.counts.loads,
        loaded_bytes=residents.counts.loaded_bytes,
        evictions=residents.counts.evictions,
        streamed=residents.counts.streamed,
        models=models,
    )
