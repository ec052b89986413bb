"""What all controls that have a network share: when it acts, with which noise levels, and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from models.memory import Policy
from models.network import Network
from models.protocol.control import Control, ControlBase
from models.protocol.network_patcher import NetworkPatcher


class NetworkControl(ControlBase):
    """A network with its hint; copies share the network. Subclasses define residuals()."""

    OUTPUT_DTYPE: ClassVar[torch.dtype | None] = torch.float32  # None: as the network has it

    def __init__(self, policy: Policy, network: Network[Any] | None) -> None:
        super().__init__()
        self.policy = policy
        self.network = network  # None: made when a run begins
        self.model_sampling_current: Any = None  # of the model that is sampled

    @property
    def control_model(self) -> Any:
        """The module."""
        return None if self.network is None else self.network.module

    @property
    def load_device(self) -> torch.device:
        """Where it computes."""
        return self.policy.device

    def get_models(self) -> list[Any]:
        """The patchers of its network, and of those before it."""
        own = [] if self.network is None else [NetworkPatcher(self.network, self.policy.device)]
        return [*own, *super().get_models()]

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """A run begins: with this model's noise levels."""
        super().pre_run(model, percent_to_timestep_function)
        self.model_sampling_current = model.model_sampling

    def cleanup(self) -> None:
        """A run is over."""
        super().cleanup()
        self.model_sampling_current = None

    def get_control(
        self,
        x_noisy: Tensor,
        t: Tensor,
        cond: dict[str, Any],
        batched_number: int,
        transformer_options: dict[str, Any],
    ) -> Control | None:
        """Its residuals in its part of the run, joined with those of the controls before it."""
        previous = self.control_before(x_noisy, t, cond, batched_number, transformer_options)
        if not self.is_active(float(t.flatten()[0])):
            return previous
        control = self.residuals(x_noisy, t, cond, batched_number)
        return self.control_merge(control, previous, output_dtype=self.OUTPUT_DTYPE)

    def residuals(self, x: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int) -> Control:
        """What it adds to the layers for x [B, C, h, w] at noise levels t [B]."""
        raise NotImplementedError(f"{type(self).__name__} does not define residuals()")
