"""Control-LoRA: a ControlNet whose weights are those of the UNet that runs, plus small factors.

The layout is that of Stability AI's files: `NAME.up` and `NAME.down` for what differs by factors,
`NAME.weight` and `NAME.bias` for what is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from models.control.controlnet import ControlNet
from models.errors import InvalidInput
from models.families.ldm_control import build_controlnet
from models.memory import Policy
from models.network import Network
from models.weights import Weights


class ControlLora(ControlNet):
    """A control whose network is made when a run begins, and kept as long as the UNet is."""

    def __init__(
        self, weights: Weights, policy: Policy, *, global_average_pooling: bool = False
    ) -> None:
        super().__init__(None, policy, global_average_pooling=global_average_pooling)
        self.control_weights = weights
        # Shared by copies, and gone with the UNet that it was made for.
        self._made: WeakKeyDictionary[Network[Any], Network[Any]] = WeakKeyDictionary()

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """A run begins: fill in the weights of this model."""
        super().pre_run(model, percent_to_timestep_function)
        base: Network[Any] | None = getattr(model.diffusion_model, "network", None)
        if base is None:
            raise InvalidInput("a Control-LoRA needs a model whose UNet Darkroom has loaded")
        if base not in self._made:
            stored = {base.original(name): base.stored(name) for name in base.names()}
            whole = Weights(
                path=self.control_weights.path,
                tensors=merged(self.control_weights.tensors, stored),
                metadata=self.control_weights.metadata,
            )
            self._made.clear()
            self._made[base] = build_controlnet(whole, self.policy.unet_dtype)
        self.network = self._made[base]

    def cleanup(self) -> None:
        """A run is over; copies that run later find the network again."""
        super().cleanup()
        self.network = None


def merged(lora: Mapping[str, Tensor], unet: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All weights of the ControlNet, by the original's names.

    A layer is the UNet's where the file says nothing, the file's where it is whole there, and the
    sum of the UNet's and ``up @ down`` where it has factors.
    """
    shared = ("time_embed.", "input_blocks.", "middle_block.", "label_emb.")
    found = {name: tensor for name, tensor in unet.items() if name.startswith(shared)}
    for name, tensor in lora.items():
        layer, _, kind = name.rpartition(".")
        if kind in ("weight", "bias"):
            found[name] = tensor
        elif kind == "up":
            base = unet[f"{layer}.weight"]
            down = lora[f"{layer}.down"]
            delta = tensor.flatten(1).float() @ down.flatten(1).float()
            found[f"{layer}.weight"] = (base.float() + delta.reshape(base.shape)).to(base.dtype)
    return found
