"""`model_options`: the dictionary of functions and settings that a model carries.

Its key `transformer_options` holds what layers may look at, patches of them among it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.protocol.extension import copy_nested_dicts

Options = dict[str, Any]


def empty_options() -> Options:
    """The options of a model that nobody changed."""
    return {"transformer_options": {}}


def clone_options(options: Options) -> Options:
    """A copy that can be changed without the original changing."""
    return copy_nested_dicts(options)


def set_patch(options: Options, patch: Any, name: str) -> Options:
    """Add a patch at the place `name` of the transformer, such as "attn1_patch"."""
    options["transformer_options"].setdefault("patches", {}).setdefault(name, []).append(patch)
    return options


def set_patch_replace(
    options: Options,
    patch: Any,
    name: str,
    block_name: str,
    number: int,
    transformer_index: int | None = None,
) -> Options:
    """Put `patch` in the place of what block (block_name, number) does under `name`."""
    block = (block_name, number)
    key = block if transformer_index is None else (*block, transformer_index)
    transformer = options["transformer_options"] = dict(options["transformer_options"])
    replacements = transformer["patches_replace"] = dict(transformer.get("patches_replace", {}))
    replacements[name] = {**replacements.get(name, {}), key: patch}
    return options


def _append(options: Options, name: str, function: Callable[..., Any], no_cfg1: bool) -> Options:
    options[name] = [*options.get(name, []), function]
    if no_cfg1:
        options["disable_cfg1_optimization"] = True
    return options


def set_post_cfg_function(
    options: Options, function: Callable[..., Any], disable_cfg1_optimization: bool = False
) -> Options:
    """Add a function of the guided prediction."""
    return _append(
        options, "sampler_post_cfg_function", function, no_cfg1=disable_cfg1_optimization
    )


def set_pre_cfg_function(
    options: Options, function: Callable[..., Any], disable_cfg1_optimization: bool = False
) -> Options:
    """Add a function of the predictions before guidance."""
    return _append(options, "sampler_pre_cfg_function", function, no_cfg1=disable_cfg1_optimization)
