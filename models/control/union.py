"""ControlNet for several kinds of hints: a picture comes with what kind it is.

ControlNet++ (xinsir, https://github.com/xinsir6/ControlNetPlus), as diffusers runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from models.control.controlnet import ControlNet
from models.errors import InvalidInput


class UnionControlNet(ControlNet):
    """A network whose argument `control_type` holds the number of the hint's kind, or nothing."""

    def _call(
        self, module: Any, x: Tensor, timesteps: Tensor, hint: Tensor, **inputs: Any
    ) -> tuple[list[Tensor], Tensor]:
        kinds = self._kinds(int(module.config.num_control_type))
        marks = torch.zeros(len(x), module.config.num_control_type, device=x.device, dtype=x.dtype)
        marks[:, list(kinds)] = 1
        call = {
            "controlnet_cond": [hint.expand(len(x), -1, -1, -1)],
            "control_type": marks,
            "control_type_idx": kinds or [0],
            "return_dict": False,
            **inputs,
        }
        # Nothing is added for a kind that nobody has named.
        told = {} if kinds else {"task_embedding": torch.zeros_like(module.task_embedding)}
        down, middle = functional_call(module, told, (x, timesteps), call)
        return list(down), middle

    def _kinds(self, count: int) -> Sequence[int]:
        found: list[int] = list(self.extra_args.get("control_type") or ())
        if any(kind >= count for kind in found):
            raise InvalidInput(f"this ControlNet has {count} kinds of hints, not number {found[0]}")
        return found
