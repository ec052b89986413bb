"""ControlNet: a copy of a UNet's way down that adds to the UNet's skip connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from models.control.hint import fitted_hint
from models.control.network_control import NetworkControl
from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network
from models.protocol.control import Control

if TYPE_CHECKING:
    from diffusers import ControlNetModel


class ControlNet(NetworkControl):
    """A network with its hint (Zhang et al. 2023); copies share the network."""

    def __init__(
        self,
        network: Network[ControlNetModel] | None,
        policy: Policy,
        *,
        global_average_pooling: bool = False,
    ) -> None:
        super().__init__(policy, network)
        self.global_average_pooling = global_average_pooling

    def residuals(self, x: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int) -> Control:
        """One residual for each block on the way down, and one for the middle."""
        down, middle = self._residuals(x, t, cond, batched_number)
        return {"input": [], "middle": [middle], "output": list(down)}

    def _residuals(
        self, x: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int
    ) -> tuple[list[Tensor], Tensor]:
        network, context = self.network, cond.get("c_crossattn")
        if network is None or context is None:
            raise InvalidInput("a ControlNet was called outside of a run, or without a prompt")
        device, dtype = self.policy.device, network.dtype
        config = network.module.config
        _check(network, x, context)
        vector = None
        if config.projection_class_embeddings_input_dim is not None:
            vector = cond.get("y")
            if vector is None:
                raise InvalidInput(
                    "this ControlNet belongs to models with a class vector, such as SDXL, and the "
                    "model that runs has none"
                )
            vector = vector.to(device, dtype)
        hint = fitted_hint(self, x, batched_number, int(config.conditioning_channels))
        sampling = self.model_sampling_current
        seen = sampling.calculate_input(t, x)
        with self.policy.using(network, device) as module:
            return self._call(
                module,
                seen.to(device, dtype),
                sampling.timestep(t).float().to(device),
                hint.to(device, dtype),
                encoder_hidden_states=context.to(device, dtype),
                class_labels=vector,
            )

    def _call(
        self, module: Any, x: Tensor, timesteps: Tensor, hint: Tensor, **inputs: Any
    ) -> tuple[list[Tensor], Tensor]:
        """The module's residuals: of each block on the way down, and of the middle."""
        down, middle = module(x, timesteps, controlnet_cond=hint, return_dict=False, **inputs)
        return down, middle


def _check(network: Network[ControlNetModel], x: Tensor, context: Tensor) -> None:
    """Raise InvalidInput if the latent or the prompt is one of another kind of models."""
    channels = int(network.module.config.in_channels)
    attention = next((name for name in network.names() if name.endswith("attn2.to_k.weight")), None)
    width = context.shape[-1] if attention is None else network.shape(attention)[1]
    if (x.shape[1], context.shape[-1]) != (channels, width):
        raise InvalidInput(
            f"this ControlNet is for models that take latents of {channels} channels and prompts "
            f"of {width}, and the model that runs takes {x.shape[1]} and {context.shape[-1]}"
        )
