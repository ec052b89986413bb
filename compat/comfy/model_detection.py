"""Which model a state dict holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy.not_yet import absent

PREFIXES = ("model.diffusion_model.", "model.model.", "net.")


def unet_prefix_from_state_dict(state_dict: Mapping[str, Any]) -> str:
    """What the names of the diffusion model begin with."""
    counts = {prefix: sum(key.startswith(prefix) for key in state_dict) for prefix in PREFIXES}
    prefix = max(counts, key=lambda found: counts[found])
    return prefix if counts[prefix] > 5 else "model."


def count_blocks(state_dict_keys: Any, prefix_string: str) -> int:
    """How many of a pattern with `{}` = 0, 1, 2, ... begin a name."""
    count = 0
    while any(key.startswith(prefix_string.format(count)) for key in state_dict_keys):
        count += 1
    return count


def detect_unet_config(
    state_dict: Mapping[str, Any], unet_key_prefix: str, metadata: Any = None
) -> dict[str, Any] | None:
    """Shapes of a UNet in the original layout; None for other networks."""
    first = state_dict.get(f"{unet_key_prefix}input_blocks.0.0.weight")
    if first is None:
        return None
    context = next((k for k in state_dict if k.endswith("attn2.to_k.weight")), None)
    label = state_dict.get(f"{unet_key_prefix}label_emb.0.0.weight")
    projection = state_dict.get(f"{unet_key_prefix}middle_block.1.proj_in.weight")
    return {
        "in_channels": first.shape[1],
        "model_channels": first.shape[0],
        "out_channels": state_dict[f"{unet_key_prefix}out.2.weight"].shape[0],
        "context_dim": None if context is None else state_dict[context].shape[1],
        "adm_in_channels": None if label is None else label.shape[1],
        "use_linear_in_transformer": projection is not None and projection.ndim == 2,
        "use_spatial_transformer": context is not None,
        "use_temporal_attention": False,
    }


def model_config_from_unet(
    state_dict: Mapping[str, Any], unet_key_prefix: str, use_base_if_no_match: bool = False,
    metadata: Any = None,
) -> Any:  # fmt: skip
    """The configuration of a family; None where it is none of ours."""
    from comfy import supported_models, supported_models_base

    config = detect_unet_config(state_dict, unet_key_prefix, metadata)
    if config is None:
        return None
    for family in supported_models.models:
        if family.matches(config, state_dict):
            return family(config)
    return supported_models_base.BASE(config) if use_base_if_no_match else None


__getattr__ = absent(
    __name__,
    functions=(
        "model_config_from_unet_config convert_config unet_config_from_diffusers_unet "
        "convert_diffusers_mmdit model_config_from_diffusers_unet top_candidate "
        "calculate_transformer_depth state_dict_key_replace"
    ),
)
