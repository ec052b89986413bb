"""Denoiser: a network of ours under the interface that packs know as `diffusion_model`.

Each architecture has a class of its own, which says how the network is called.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.compiling import Backend, compiled
from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network, Patches
from models.protocol.extension import WrapperExecutor, WrappersMP, get_all_wrappers


class Denoiser(nn.Module):
    """Runs a network with the weight patches of whoever samples.

    The network is not a submodule: moving and saving it is the business of models.memory.
    """

    in_channels: int  # of what the network sees: the latent's, and any beside it
    out_channels: int
    input_layer: str | None = None  # original name of the layer that sees them, if LoRA widens it

    def __init__(self, network: Network[Any], policy: Policy) -> None:
        super().__init__()
        self.__dict__["network"] = network
        self.__dict__["policy"] = policy
        self.patches: Patches = {}
        self.compiled_by: Backend | None = None  # a backend of torch.compile
        self.dtype = network.own_dtype
        self.compute_dtype: torch.dtype | None = None  # None: that one

    # What a class for an architecture says

    @abstractmethod
    def call(
        self,
        module: Any,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        *,
        control: Mapping[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        **inputs: Any,
    ) -> Tensor:
        """What the module says of x [B, C, ...] at `timesteps` [B].

        All tensors are on the module's device and, but for the times, of the type it computes in.
        `inputs` are those of the model's `extra_conds`; what packs add to them is to be ignored.
        """

    @abstractmethod
    def unet_config(self) -> dict[str, Any]:
        """What packs read of the architecture, by their words; see `model_config`."""

    def stated(self) -> dict[str, Any]:
        """What a file has to state of the network because shapes do not tell it."""
        return {}

    # How it is called

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None = None,
        y: Tensor | None = None,
        control: dict[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """What the network says of x [B, C, ...] at `timesteps` [B], through packs' wrappers."""
        options = transformer_options if transformer_options is not None else {}
        executor = WrapperExecutor.new_class_executor(
            self._forward, self, get_all_wrappers(WrappersMP.DIFFUSION_MODEL, options)
        )
        result: Tensor = executor.execute(x, timesteps, context, y, control, options, **kwargs)
        return result

    def _forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None = None,
        y: Tensor | None = None,
        control: dict[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        inputs = kwargs if y is None else kwargs | {"y": y}
        return self.run(
            x,
            timesteps,
            context,
            patches=self.patches,
            compiled_by=self.compiled_by,
            dtype=self.compute_dtype or self.dtype,
            control=control,
            transformer_options=transformer_options,
            **inputs,
        )

    def run(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        *,
        patches: Patches,
        compiled_by: Backend | None = None,
        dtype: torch.dtype | None = None,
        control: dict[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        **inputs: Any,
    ) -> Tensor:
        """`call` with the network in its place; `dtype` is that of computation, None: its own."""
        if x.shape[1] != self.in_channels:
            raise InvalidInput(
                f"this network sees {self.in_channels} channels and was given {x.shape[1]}: what "
                "it sees beside the latent is to come from the VAE of the model"
            )
        network, device = self.network, self.policy.device
        network.compute_in(dtype)
        network.patch(patches)
        layout = network.memory_format() if x.ndim == 4 else torch.preserve_format
        with self.policy.using(network, device) as module:
            return self.call(
                compiled(network, compiled_by) if compiled_by else module,
                x.to(device, network.dtype, memory_format=layout),
                timesteps.to(device),
                _placed(context, device, network.dtype),
                control=control,
                transformer_options=transformer_options,
                **{name: _placed(value, device, network.dtype) for name, value in inputs.items()},
            )

    # Weights, under the names that checkpoints have

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.network.device
        return device

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
                f"'{type(self).__name__}' has no '{name}': Darkroom computes with the networks of "
                "diffusers, whose layers have other names"
            ) from None


def _placed(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A network's input, or a list of such, where it computes."""
    if isinstance(value, Tensor):
        return value.to(device, dtype if value.is_floating_point() else value.dtype)
    if isinstance(value, (list, tuple)):
        return [_placed(part, device, dtype) for part in value]
    return value
