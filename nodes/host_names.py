"""The names that node packs take from the module `nodes`, beyond our own modules.

`nodes.__getattr__` looks here: importing the package stays light.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from models.handle import ModelHandle
from models.protocol.sampling import sample_latent
from models.sampling.conditioning import Conditioning
from nodes.base import MAX_RESOLUTION
from nodes.context import current_context, interrupt_prompt, is_in_call, surroundings
from nodes.not_yet import NotYetSupported
from nodes.registry import ALL_CLASSES, ALL_DISPLAY_NAMES, NODE_CLASSES
from nodes.sampling import progress_callback

EXTENSION_WEB_DIRS: Final[dict[str, str]] = {}  # pack -> its folder of JavaScript
LOADED_MODULE_DIRS: Final[dict[str, str]] = {}  # pack -> its folder


def common_ksampler(
    model: ModelHandle,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent: Mapping[str, Any],
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
) -> tuple[dict[str, Any]]:
    """What KSampler and KSamplerAdvanced do."""
    sampled = sample_latent(
        model,
        latent,
        seed=seed,
        steps=steps,
        cfg=cfg,
        sampler_name=sampler_name,
        scheduler=scheduler,
        positive=positive,
        negative=negative,
        denoise=denoise,
        disable_noise=disable_noise,
        start_step=start_step,
        last_step=last_step,
        force_full_denoise=force_full_denoise,
        callback=progress_callback(surroundings(), model),
    )
    return (sampled,)


def before_node_execution() -> None:
    """Raise if the prompt that runs is to stop."""
    if is_in_call():
        current_context().check_interrupted()


def interrupt_processing(value: bool = True) -> None:
    """Have the prompt that runs stop."""
    if value:
        interrupt_prompt()


def _not_offered(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotYetSupported(f"nodes.{name}", "packs are loaded when a worker starts")

    refuse.__name__ = name
    return refuse


NAMES: Final[dict[str, Any]] = {
    "MAX_RESOLUTION": MAX_RESOLUTION,
    "NODE_CLASS_MAPPINGS": ALL_CLASSES,
    "NODE_DISPLAY_NAME_MAPPINGS": ALL_DISPLAY_NAMES,
    "EXTENSION_WEB_DIRS": EXTENSION_WEB_DIRS,
    "LOADED_MODULE_DIRS": LOADED_MODULE_DIRS,
    "common_ksampler": common_ksampler,
    "before_node_execution": before_node_execution,
    "interrupt_processing": interrupt_processing,
    **{
        name: _not_offered(name)
        for name in (
            "load_custom_node",
            "init_external_custom_nodes",
            "init_builtin_extra_nodes",
            "init_builtin_api_nodes",
            "init_public_apis",
            "init_extra_nodes",
            "get_module_name",
        )
    },
}

# Modules that packs reach through this one, because ComfyUI's imports them.
_REACHED_THROUGH: Final[Mapping[str, str]] = {
    "np": "numpy",
    **{
        name: name
        for name in (
            "comfy", "folder_paths", "hashlib", "importlib", "json", "latent_preview", "logging",
            "math", "node_helpers", "os", "random", "safetensors", "sys", "time", "torch",
            "traceback",
        )
    },
}  # fmt: skip


def find(name: str) -> Any:
    """What goes by that name; raises AttributeError."""
    if name in NAMES:
        return NAMES[name]
    if name in NODE_CLASSES:
        return NODE_CLASSES[name]
    if name in _REACHED_THROUGH:
        return importlib.import_module(_REACHED_THROUGH[name])
    raise AttributeError(f"module 'nodes' has no attribute '{name}'")
