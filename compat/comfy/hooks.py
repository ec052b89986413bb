"""Hooks of conditionings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy.not_yet import absent
from node_helpers import conditioning_set_values as conditioning_set_values
from torch import Tensor

from models.hook_weights import LoraSource
from models.hooked_conditioning import (
    combined_with_default,
    with_hooks,
    with_properties,
)
from models.lora import Lora, group_tensors
from models.protocol.hooks import (
    EnumHookMode as EnumHookMode,
)
from models.protocol.hooks import (
    EnumHookScope as EnumHookScope,
)
from models.protocol.hooks import (
    EnumHookType as EnumHookType,
)
from models.protocol.hooks import (
    EnumWeightTarget as EnumWeightTarget,
)
from models.protocol.hooks import (
    Hook as Hook,
)
from models.protocol.hooks import (
    HookGroup as HookGroup,
)
from models.protocol.hooks import (
    HookKeyframe as HookKeyframe,
)
from models.protocol.hooks import (
    HookKeyframeGroup as HookKeyframeGroup,
)
from models.protocol.hooks import (
    HookRef as HookRef,
)
from models.protocol.hooks import (
    TransformerOptionsHook as TransformerOptionsHook,
)
from models.protocol.hooks import (
    WeightHook as WeightHook,
)


def set_hooks_for_conditioning(
    cond: list[Any], hooks: HookGroup | None, append_hooks: bool = True, cache: Any = None
) -> list[Any]:
    """CONDITIONING that carries hooks."""
    return with_hooks(cond, hooks, append=append_hooks)


def set_conds_props(
    conds: list[list[Any]],
    strength: float,
    set_cond_area: str,
    mask: Tensor | None = None,
    hooks: HookGroup | None = None,
    timesteps_range: tuple[float, float] | None = None,
    append_hooks: bool = True,
) -> list[list[Any]]:
    """Several CONDITIONING values with hooks, a mask and a range."""
    return [
        with_properties(
            cond,
            strength=strength,
            cropped=set_cond_area == "mask bounds",
            mask=mask,
            hooks=hooks,
            timesteps=timesteps_range,
            append_hooks=append_hooks,
        )
        for cond in conds
    ]


def set_conds_props_and_combine(
    conds: list[list[Any]],
    new_conds: list[list[Any]],
    strength: float = 1.0,
    set_cond_area: str = "default",
    mask: Tensor | None = None,
    hooks: HookGroup | None = None,
    timesteps_range: tuple[float, float] | None = None,
    append_hooks: bool = True,
) -> list[list[Any]]:
    """Each CONDITIONING beside another one that was given properties."""
    changed = set_conds_props(
        new_conds, strength, set_cond_area, mask, hooks, timesteps_range, append_hooks
    )
    return [[*cond, *new] for cond, new in zip(conds, changed, strict=True)]


def set_default_conds_and_combine(
    conds: list[list[Any]],
    new_conds: list[list[Any]],
    hooks: HookGroup | None = None,
    append_hooks: bool = True,
) -> list[list[Any]]:
    """Each CONDITIONING beside another one that acts where the first leaves something."""
    pairs = zip(conds, new_conds, strict=True)
    return [
        combined_with_default(cond, new, hooks, append_hooks=append_hooks) for cond, new in pairs
    ]


def create_hook_lora(
    lora: Mapping[str, Tensor], strength_model: float, strength_clip: float
) -> HookGroup:
    """A hook of the tensors of a LoRA file."""
    from pathlib import Path

    source = LoraSource(Lora(path=Path("(given by a node pack)"), groups=group_tensors(lora)))
    return HookGroup([WeightHook(strength_model, strength_clip, source)])


__getattr__ = absent(
    __name__,
    classes="ObjectPatchHook AdditionalModelsHook InjectionsHook",
    functions=(
        "create_hook_model_as_lora create_transformer_options_from_hooks "
        "get_patch_weights_from_model load_hook_lora_for_models "
        "set_mask_conds set_timesteps_for_conditioning"
    ),
)
