"""The patcher of a network of ours that is no diffusion model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.devices import HOME
from models.network import Network
from models.protocol.patcher import ModelPatcher


class NetworkPatcher(ModelPatcher):
    """Moving and patching is the network's own business; see models.network."""

    def __init__(self, network: Network[Any], device: torch.device) -> None:
        super().__init__(network.module, device, torch.device("cpu"))
        self.network = network

    @property
    def current_device(self) -> torch.device:
        """Where its weights are now."""
        return self.network.device

    def model_size(self) -> int:
        """Bytes of all weights."""
        return self.network.size()

    def model_dtype(self) -> torch.dtype:
        """The type of its weights."""
        return self.network.dtype

    def weight_names(self) -> Mapping[str, str]:
        """Names that packs know -> names in the network."""
        return {name: name for name in self.network.names()}

    def weight(self, name: str) -> Tensor:
        """A weight as the file has it."""
        return self.network.stored(name)

    def patch_model(
        self,
        device_to: torch.device | None = None,
        lowvram_model_memory: int = 0,
        load_weights: bool = True,
        force_patch_weights: bool = False,
    ) -> Any:
        """Have the patches in the network, and the network on a device."""
        if load_weights:
            self.network.patch(self.patches)
        if device_to is not None:
            self.network.place(torch.device(device_to))
        return self.model

    def unpatch_model(
        self, device_to: torch.device | None = None, unpatch_weights: bool = True
    ) -> None:
        """Send the network home; weights change back when another handle computes."""
        if device_to is not None and torch.device(device_to) != HOME:
            self.network.place(torch.device(device_to))
        elif device_to is not None:
            self.network.rest()
