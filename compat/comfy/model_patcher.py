"""ModelPatcher, and helpers for its options."""

from __future__ import annotations

from typing import Any

from comfy.not_yet import missing_class
from torch import Tensor

from models.protocol import options
from models.protocol.extension import PatcherInjection as PatcherInjection
from models.protocol.extension import WrappersMP as WrappersMP
from models.protocol.options import set_post_cfg_function, set_pre_cfg_function
from models.protocol.patcher import ModelPatcher as ModelPatcher

# Nothing here needs another patcher for weights that stay in low memory: models.memory decides.
LowVramPatch: Any = missing_class("comfy.model_patcher.LowVramPatch")
AutoPatcherEjector: Any = missing_class("comfy.model_patcher.AutoPatcherEjector")


def create_model_options_clone(orig_model_options: dict[str, Any]) -> dict[str, Any]:
    """A copy that can be changed without the original changing."""
    return options.clone_options(orig_model_options)


def set_model_options_patch_replace(
    model_options: dict[str, Any],
    patch: Any,
    name: str,
    block_name: str,
    number: int,
    transformer_index: int | None = None,
) -> dict[str, Any]:
    """Replace what a block of the transformer does."""
    return options.set_patch_replace(
        model_options, patch, name, block_name, number, transformer_index
    )


def set_model_options_post_cfg_function(
    model_options: dict[str, Any], post_cfg_function: Any, disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    """Add a function of the guided prediction."""
    return set_post_cfg_function(model_options, post_cfg_function, disable_cfg1_optimization)


def set_model_options_pre_cfg_function(
    model_options: dict[str, Any], pre_cfg_function: Any, disable_cfg1_optimization: bool = False
) -> dict[str, Any]:
    """Add a function of the predictions before guidance."""
    return set_pre_cfg_function(model_options, pre_cfg_function, disable_cfg1_optimization)


def get_key_weight(model: Any, key: str) -> tuple[Tensor, Any, Any]:
    """(weight, set function, convert function) of a dotted name."""
    from models.protocol.paths import get_path

    return get_path(model, key), None, None


def string_to_seed(data: str | bytes) -> int:
    """A number that stands for a text: its CRC-32."""
    import zlib

    return zlib.crc32(data.encode() if isinstance(data, str) else data)
