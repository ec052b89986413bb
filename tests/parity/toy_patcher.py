"""The toy model with the object protocol: nodes can put rules of guidance into it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.protocol.base_model import BaseModel, our_config
from models.protocol.latent_formats import LatentFormat
from models.protocol.object_schedule import sampling_object
from models.protocol.patcher import ModelPatcher
from tests.parity.toy import SCALES, ToyModel


class ToyBase(BaseModel):
    """A BaseModel without network."""

    toy: ToyModel

    def __init__(self, kind: str, channels: int) -> None:
        latent_format = LatentFormat()
        latent_format.latent_channels = channels
        latent_format.scale_factor = SCALES.get(kind, 1.0)
        super().__init__(our_config("toy", latent_format, {"in_channels": channels}))
        self.__dict__["toy"] = ToyModel(kind, channels)
        self.model_sampling = sampling_object(self.toy.schedule)

    def _apply_model(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Any = None,
        c_crossattn: Any = None,
        *_: Any,
        **__: Any,
    ) -> Tensor:
        return self.toy.denoised(x, t, c_crossattn)


def toy_patcher(kind: str, channels: int) -> ModelPatcher:
    """A MODEL of a toy model kind."""
    cpu = torch.device("cpu")
    return ModelPatcher(ToyBase(kind, channels), cpu, cpu)
