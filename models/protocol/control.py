"""Control of a run by pictures: the base class, for our networks and those of packs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from models.sampling.conditioning import repeat_to_batch

Control = dict[str, list[Tensor | None]]


class StrengthType(Enum):
    """How a strength acts over the layers."""

    CONSTANT = 1
    LINEAR_UP = 2


class ControlBase:
    """Adds to the layers of a UNet what a hint says. Subclasses define get_control().

    A control lies under `control` in the options of a CONDITIONING; others that act first hang on
    it by set_previous_controlnet().
    """

    def __init__(self) -> None:
        self.cond_hint_original: Tensor | None = None
        self.cond_hint: Tensor | None = None
        self.strength = 1.0
        self.timestep_percent_range = (0.0, 1.0)
        self.timestep_range: tuple[float, float] | None = None
        self.latent_format: Any = None
        self.vae: Any = None
        self.global_average_pooling = False
        self.compression_ratio = 8
        self.upscale_algorithm = "nearest-exact"
        self.extra_args: dict[str, Any] = {}
        self.extra_conds: list[str] = []
        self.strength_type = StrengthType.CONSTANT
        self.concat_mask = False
        self.extra_concat_orig: list[Tensor] = []
        self.previous_controlnet: ControlBase | None = None
        self.extra_hooks: Any = None
        self.preprocess_image: Callable[[Tensor], Tensor] = lambda image: image

    def set_cond_hint(
        self,
        cond_hint: Tensor,
        strength: float = 1.0,
        timestep_percent_range: tuple[float, float] = (0.0, 1.0),
        vae: Any = None,
        extra_concat: Sequence[Tensor] = (),
    ) -> ControlBase:
        """The picture [B, C, H, W], how strongly it acts, and in which part of the run."""
        self.cond_hint_original = cond_hint
        self.strength = strength
        self.timestep_percent_range = timestep_percent_range
        self.vae = vae
        self.extra_concat_orig = list(extra_concat)
        return self

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """A run begins."""
        start, end = self.timestep_percent_range
        self.timestep_range = (
            percent_to_timestep_function(start), percent_to_timestep_function(end)
        )  # fmt: skip
        if self.previous_controlnet is not None:
            self.previous_controlnet.pre_run(model, percent_to_timestep_function)

    def is_active(self, sigma: float) -> bool:
        """Whether this part of the run is one in which it acts."""
        if self.timestep_range is None:
            return True
        start, end = self.timestep_range
        return end <= sigma <= start

    def set_previous_controlnet(self, controlnet: ControlBase | None) -> ControlBase:
        """A control that acts together with this one."""
        self.previous_controlnet = controlnet
        return self

    def cleanup(self) -> None:
        """A run is over."""
        if self.previous_controlnet is not None:
            self.previous_controlnet.cleanup()
        self.cond_hint = None
        self.timestep_range = None

    def get_models(self) -> list[Any]:
        """The patchers of its networks, and of those before it."""
        return [] if self.previous_controlnet is None else self.previous_controlnet.get_models()

    def get_extra_hooks(self) -> list[Any]:
        """Hooks of its own and of those before it."""
        found = [] if self.extra_hooks is None else [self.extra_hooks]
        if self.previous_controlnet is not None:
            found += self.previous_controlnet.get_extra_hooks()
        return found

    def copy_to(self, c: ControlBase) -> None:
        """Give another control all settings of this one."""
        c.__dict__.update(copy.copy(self.__dict__))

    def copy(self) -> ControlBase:
        """The same, to be changed."""
        return copy.copy(self)

    def inference_memory_requirements(self, dtype: torch.dtype) -> float:
        """Bytes that it needs when it computes."""
        if self.previous_controlnet is None:
            return 0
        return self.previous_controlnet.inference_memory_requirements(dtype)

    def get_control(
        self,
        x_noisy: Tensor,
        t: Tensor,
        cond: dict[str, Any],
        batched_number: int,
        transformer_options: dict[str, Any],
    ) -> Control | None:
        """What it adds: {"input": [...], "middle": [...], "output": [...]}."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_control()")

    def control_before(
        self,
        x_noisy: Tensor,
        t: Tensor,
        cond: dict[str, Any],
        batched_number: int,
        transformer_options: dict[str, Any],
    ) -> Control | None:
        """What the controls before this one add; None without any."""
        if self.previous_controlnet is None:
            return None
        return self.previous_controlnet.get_control(
            x_noisy, t, cond, batched_number, transformer_options
        )

    def control_merge(
        self, control: Control, control_prev: Control | None, output_dtype: torch.dtype | None
    ) -> Control:
        """Scaled by the strength, and joined with what controls before this one add."""
        merged: Control = {"input": [], "middle": [], "output": []}
        for name, parts in control.items():
            if name not in merged:
                continue
            for index, part in enumerate(parts):
                merged[name].append(self._scaled(part, len(parts) - index, output_dtype))
        for name, parts in (control_prev or {}).items():
            ours = merged.setdefault(name, [])
            ours += [None] * (len(parts) - len(ours))
            for index, part in enumerate(parts):
                own = ours[index]
                ours[index] = part if own is None else own if part is None else own + part
        return merged

    def _scaled(
        self, part: Tensor | None, from_end: int, dtype: torch.dtype | None
    ) -> Tensor | None:
        if part is None:
            return None
        if self.global_average_pooling:
            part = part.mean(dim=(2, 3), keepdim=True).expand_as(part)
        strength = self.strength
        if self.strength_type is StrengthType.LINEAR_UP:
            strength = strength**from_end
        return part.to(dtype or part.dtype) * strength

    def set_extra_arg(self, argument: str, value: Any = None) -> None:
        """Another input of the network."""
        self.extra_args[argument] = value


def broadcast_image_to(tensor: Tensor, target_batch_size: int, batched_number: int) -> Tensor:
    """Hints for a batch that holds several conditionings one after the other."""
    if tensor.shape[0] == 1:
        return tensor
    each = repeat_to_batch(tensor, target_batch_size // batched_number)
    result: Tensor = torch.cat([each] * batched_number)
    return result
