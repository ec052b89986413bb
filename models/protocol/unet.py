"""UNetModel: a diffusers UNet of ours under the interface of the original network."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models import latent_format as scaling
from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network, Patches
from models.protocol.base_model import BaseModel, ModelType, our_config
from models.protocol.concat import model_class
from models.protocol.extension import WrapperExecutor, WrappersMP, get_all_wrappers
from models.protocol.latent_formats import SD15
from models.protocol.layer_patches import layer_patches
from models.protocol.object_schedule import sampling_object
from models.protocol.residuals import on_the_way_down, residual_arguments
from models.sampling.prediction import VELOCITY
from models.sampling.schedule import Schedule

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


class UNetModel(nn.Module):
    """Runs a network with the weight patches of whoever samples, and the layer patches of a call.

    The network is not a submodule: moving and saving it is the business of models.memory.
    """

    def __init__(self, network: Network[UNet2DConditionModel], policy: Policy) -> None:
        super().__init__()
        self.__dict__["network"] = network
        self.__dict__["policy"] = policy
        self.patches: Patches = {}
        self.in_channels = int(network.module.config.in_channels)
        self.out_channels = int(network.module.config.out_channels)
        self.model_channels = int(network.module.config.block_out_channels[0])
        self.num_classes = None
        self.dtype = network.own_dtype
        self.compute_dtype: torch.dtype | None = None  # None: that one

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.network.device
        return device

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor | None = None,
        context: Tensor | None = None,
        y: Tensor | None = None,
        control: dict[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """What the network says of x [B, C, h, w] at `timesteps` [B]."""
        options = transformer_options if transformer_options is not None else {}
        executor = WrapperExecutor.new_class_executor(
            self._forward, self, get_all_wrappers(WrappersMP.DIFFUSION_MODEL, options)
        )
        result: Tensor = executor.execute(x, timesteps, context, y, control, options, **kwargs)
        return result

    def _forward(
        self,
        x: Tensor,
        timesteps: Tensor | None = None,
        context: Tensor | None = None,
        y: Tensor | None = None,
        control: dict[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        if context is None or timesteps is None:
            raise InvalidInput("the UNet was called without a prompt or without a time")
        if y is not None:
            raise InvalidInput("this UNet takes no class vector")
        device, dtype = self.policy.device, self.compute_dtype or self.dtype
        self.network.compute_in(dtype)
        self.network.patch(self.patches)
        with (
            self.policy.using(self.network, device) as unet,
            layer_patches(self.network, transformer_options or {}, x.shape),
            on_the_way_down(control, unet, device, dtype),
        ):
            output: Tensor = unet(
                x.to(device, dtype, memory_format=self.network.memory_format()),
                timesteps.to(device),
                context.to(device, dtype),
                return_dict=False,
                **residual_arguments(control, unet, device, dtype),
            )[0]
        return output

    # Weights, under the names that checkpoints have

    def state_dict(self, *args: Any, prefix: str = "", **kwargs: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """The weights as the file has them."""
        found = {
            prefix + self.network.original(name): self.network.stored(name)
            for name in self.network.names()
        }
        if kwargs.get("destination") is not None:  # asked by the module that holds this one
            kwargs["destination"].update(found)
        return found

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """The weights as they are now."""
        for name, parameter in self.network.module.named_parameters():
            yield (f"{prefix}." if prefix else "") + self.network.original(name), parameter

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise AttributeError(
                f"'UNetModel' has no '{name}': Darkroom computes with the UNet of diffusers, whose "
                "layers have other names"
            ) from None


class FittedFormat(SD15):
    """A latent space whose preview colours are fitted to the VAE, if the model came with one."""

    colours: Any = None  # models.previews.LatentColours

    @property
    def latent_rgb_factors(self) -> list[list[float]] | None:  # type: ignore[override]
        """Colours in -1..1 for each channel."""
        if self.colours is None:
            return None
        factors: list[list[float]] = (self.colours.weights[:-1] * 2).tolist()
        return factors

    @property
    def latent_rgb_factors_bias(self) -> list[float] | None:  # type: ignore[override]
        """The colour of a latent of zeros."""
        if self.colours is None:
            return None
        bias: list[float] = (self.colours.weights[-1] * 2 - 1).tolist()
        return bias


def base_model(
    family: str,
    network: Network[UNet2DConditionModel],
    schedule: Schedule,
    latent_format: scaling.LatentFormat,
    policy: Policy,
) -> BaseModel:
    """The model that packs see in a handle on a network; one for each network."""
    found = None if network.view is None else network.view()
    if isinstance(found, BaseModel):
        return found
    format_seen = FittedFormat(latent_format.scale)
    format_seen.latent_channels = latent_format.channels
    format_seen.shift_factor = latent_format.shift
    config = our_config(family, format_seen, int(network.module.config.in_channels))
    channels = int(network.module.config.in_channels)
    made = model_class(channels, latent_format.channels)(
        config, _type_of(schedule), device=policy.device
    )
    made.model_sampling = sampling_object(schedule)
    made.diffusion_model = UNetModel(network, policy)
    # Weak: a circle would keep the weights in memory until Python looks for circles.
    network.view = weakref.ref(made)
    return made


def _type_of(schedule: Schedule) -> ModelType:
    return ModelType.V_PREDICTION if schedule.prediction == VELOCITY else ModelType.EPS
