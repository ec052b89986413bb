"""ModelHandle: what flows through MODEL sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import torch
from PIL.Image import Image
from torch import Tensor

from models.compiling import Backend
from models.families.family import Family
from models.memory import Policy
from models.network import Network, Patches
from models.previews import LatentColours, latent_preview
from models.protocol.base_model import BaseModel
from models.protocol.concat import InpaintModel
from models.protocol.latent_formats import LatentFormat, with_colours
from models.protocol.object_schedule import ObjectSchedule
from models.protocol.options import Options, empty_options
from models.protocol.patcher import ModelPatcher
from models.protocol.process import network_inputs
from models.protocol.view import view_of
from models.sampling.schedule import Schedule
from models.vae import VaeHandle


@dataclass(kw_only=True, eq=False)
class ModelHandle(ModelPatcher):
    """A reference to a loaded diffusion model, with patches and options of its own.

    A node changes nothing but a clone that it made; all clones share the weights. Implements
    models.sampling.model.DiffusionModel, and the protocol of models.protocol for packs.
    """

    family: Family
    network: Network[Any]
    own_schedule: Schedule  # unless another one was put in
    latent_format: LatentFormat
    policy: Policy
    patches: Patches = field(default_factory=dict)  # weight name -> LoRA and the like
    colours: LatentColours | None = None  # for previews; None without a VAE to ask
    model_options: Options = field(default_factory=empty_options)  # what nodes attach
    compiled_by: Backend | None = None  # a backend of torch.compile

    def __post_init__(self) -> None:
        self.size = 0
        self.backup = {}
        self._borrowed: LatentColours | None = None
        self._prepare()
        self._see()

    def _see(self) -> None:
        """Have the model that packs see."""
        self._base = view_of(
            self.family, self.network, self.own_schedule, self.latent_format, self.policy
        )
        if self.colours is not None:
            self._base.latent_format = with_colours(self.latent_format, self.colours)
            if isinstance(self._base, InpaintModel):
                self._base.grey = self.colours.grey

    def with_network(self, network: Network[Any], patches: Patches) -> Self:
        """A clone on another network with these patches, and with all that nodes attached."""
        made = self.clone(network=network, patches=dict(patches))
        made._see()
        return made

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.policy.device

    @property
    def dtype(self) -> torch.dtype:
        """The number type it computes in."""
        return self.network.own_dtype

    @property
    def schedule(self) -> Schedule:
        """Noise levels and parametrisation, those that a node put in counted."""
        sampling = self.object_patches.get("model_sampling")
        return self.own_schedule if sampling is None else ObjectSchedule(sampling)

    @property
    def is_customised(self) -> bool:
        """Whether nodes attached anything beside patches of weights."""
        tables = (
            self.object_patches, self.wrappers, self.callbacks, self.injections,
            self.additional_models, self.model_options["transformer_options"],
        )  # fmt: skip
        return any(tables) or len(self.model_options) > 1 or not self._base.is_plain

    def preview(self, latent: Tensor) -> Image | None:
        """A quick picture of the first latent [B, C, h, w] in model space, or None."""
        return latent_preview(latent, self.colours or self._borrowed_colours())

    def _borrowed_colours(self) -> LatentColours | None:
        """Those of the VAE that was loaded last, for a model that came without one."""
        wanted = (self.latent_format.channels, self.latent_format.latent_dimensions)
        vae = self.policy.library.newest(
            VaeHandle, lambda vae: (vae.latent_channels, vae.latent_dim) == wanted
        )
        if vae is None:
            return None
        if self._borrowed is None or self._borrowed.vae is not vae:
            self._borrowed = LatentColours(vae, self.latent_format)
        return self._borrowed

    @property
    def stretches_context(self) -> bool:
        """Whether prompts of different lengths may share a call."""
        return self._base.stretches_context

    def extra_conditioning(self, options: Mapping[str, Any], x: Tensor) -> Mapping[str, Tensor]:
        """The network's inputs beyond the encoded prompt, by the family's `extra_conds`."""
        found = network_inputs(self._base, options, x, x.device)
        return {name: value.cond for name, value in found.items()}

    def denoised(self, x: Tensor, sigma: Tensor, context: Tensor, **conditioning: Tensor) -> Tensor:
        """The clean latent, float32 [B, C, h, w].

        x [B, C, h, w] is noisy and in model space, sigma [B], context [B, T, D].
        """
        schedule = self.schedule
        output = self._base.diffusion_model.run(
            schedule.scale_input(x, sigma),
            self._base.process_timestep(schedule.timestep(sigma), x=x, **conditioning),
            context,
            patches=self.patches,
            compiled_by=self.compiled_by,
            **conditioning,
        )
        return schedule.denoised(x, sigma, output.to(x.device, torch.float32))

    # As a ModelPatcher

    @property
    def model(self) -> BaseModel:
        """The model as packs see it; clones share it."""
        return self._base

    @property
    def load_device(self) -> torch.device:
        """Where it computes."""
        return self.policy.device

    @property
    def offload_device(self) -> torch.device:
        """Where it waits."""
        return torch.device("cpu")

    @property
    def current_device(self) -> torch.device:
        """Where its weights are now."""
        return self.network.device

    def model_size(self) -> int:
        """Bytes of all weights."""
        return self.network.size()

    def weight_names(self) -> Mapping[str, str]:
        """Names in the original layout, below `diffusion_model.`, -> names in the network."""
        return self._names

    @cached_property
    def _names(self) -> dict[str, str]:
        return {
            f"diffusion_model.{self.network.original(name)}": name for name in self.network.names()
        }

    def weight(self, name: str) -> Tensor:
        """A weight as the file has it."""
        return self.network.stored(name)

    def patch_model(
        self,
        device_to: torch.device | None = None,
        lowvram_model_memory: int = 0,
        load_weights: bool = True,
        force_patch_weights: bool = False,
    ) -> BaseModel:
        """Have the patches in the model, for packs that call it themselves."""
        self.patch_objects()
        if load_weights:
            self.network.patch(self.patches)
            self.model.diffusion_model.patches = self.patches
            self.model.diffusion_model.compiled_by = self.compiled_by
            self.policy.residents.use(self.network, self.policy.device)
        self.inject_model()
        return self.model

    def unpatch_model(
        self, device_to: torch.device | None = None, unpatch_weights: bool = True
    ) -> None:
        """Undo `patch_model`; weights change back when the next handle computes."""
        self.eject_model()
        if unpatch_weights:
            self.model.diffusion_model.patches = {}
            self.model.diffusion_model.compiled_by = None
        if device_to is not None and device_to.type == "cpu":
            self.policy.residents.evict(self.network)
        self.unpatch_objects()

    def model_patches_models(self) -> Sequence[Any]:
        """Models that patches bring along; none."""
        return ()
