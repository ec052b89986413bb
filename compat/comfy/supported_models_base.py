"""What a family says of itself."""

from __future__ import annotations

from typing import Any

import torch

from models.protocol.base_model import ModelType
from models.protocol.latent_formats import LatentFormat


class ClipTarget:
    """The tokenizer and the model of a text encoder."""

    def __init__(self, tokenizer: Any, clip: Any) -> None:
        self.tokenizer, self.clip = tokenizer, clip
        self.params: dict[str, Any] = {}


class BASE:
    """The configuration of a model; packs derive their own."""

    unet_config: dict[str, Any] = {}  # noqa: RUF012 (the form that packs know)
    unet_extra_config: dict[str, Any] = {"num_heads": -1, "num_head_channels": 64}  # noqa: RUF012
    required_keys: dict[str, Any] = {}  # noqa: RUF012
    clip_prefix: list[str] = []  # noqa: RUF012
    clip_vision_prefix: str | None = None
    noise_aug_config: Any = None
    sampling_settings: dict[str, Any] = {}  # noqa: RUF012
    latent_format: Any = LatentFormat
    vae_key_prefix = ["first_stage_model."]  # noqa: RUF012
    text_encoder_key_prefix = ["cond_stage_model."]  # noqa: RUF012
    supported_inference_dtypes = [torch.float16, torch.bfloat16, torch.float32]  # noqa: RUF012
    memory_usage_factor = 2.0
    manual_cast_dtype: torch.dtype | None = None
    custom_operations: Any = None
    scaled_fp8: Any = None
    optimizations: dict[str, Any] = {"fp8": False}  # noqa: RUF012

    def __init__(self, unet_config: dict[str, Any]) -> None:
        self.unet_config = {**unet_config, **self.unet_extra_config}
        self.sampling_settings = dict(self.sampling_settings)
        self.latent_format = self.latent_format()
        self.optimizations = dict(self.optimizations)

    @classmethod
    def matches(cls, unet_config: dict[str, Any], state_dict: Any = None) -> bool:
        """Whether a configuration, and the tensors that are asked for, are of this family."""
        if any(unet_config.get(key, ...) != value for key, value in cls.unet_config.items()):
            return False
        return state_dict is None or all(key in state_dict for key in cls.required_keys)

    def model_type(self, state_dict: Any, prefix: str = "") -> ModelType:
        """What the network predicts."""
        return ModelType.EPS

    def inpaint_model(self) -> bool:
        """Whether it takes the masked picture, too."""
        return bool(self.unet_config.get("in_channels", 4) > 4)

    def set_inference_dtype(self, dtype: torch.dtype, manual_cast_dtype: Any) -> None:
        """The types of weights and of computation."""
        self.unet_config["dtype"] = dtype
        self.manual_cast_dtype = manual_cast_dtype
