"""ControlNets of Stable Diffusion 3: they see the picture as a latent, and add to all blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor

from models.control.hint import encoded_hint
from models.control.network_control import NetworkControl
from models.errors import InvalidInput
from models.families.mmdit_control import build_mmdit_control, has_positions, with_positions
from models.memory import Policy
from models.network import Network
from models.protocol.control import Control
from models.protocol.latent_formats import SD3
from models.protocol.mmdit import MMDiT
from models.protocol.transformer import check_prompt, whole_patches
from models.weights import Weights


class SD3ControlNet(NetworkControl):
    """A network with its hint; copies share the network.

    One without a table of positions is made when a run begins, with that of the run's model.
    """

    def __init__(self, weights: Weights, policy: Policy) -> None:
        super().__init__(policy, None)
        self.weights = weights
        # Shared by copies, and gone with the transformer that it was made for.
        self._made: WeakKeyDictionary[Network[Any], Network[Any]] = WeakKeyDictionary()
        if has_positions(weights):
            self._use(build_mmdit_control(weights, policy.unet_dtype))
        self.depth = 0  # of the model that is sampled

    def _use(self, network: Network[Any]) -> None:
        self.network = network
        self.concat_mask = network.module.config.extra_conditioning_channels > 0

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """A run begins: with this model's noise levels, depth and positions."""
        super().pre_run(model, percent_to_timestep_function)
        if not isinstance(model.diffusion_model, MMDiT):
            raise InvalidInput("this ControlNet is for Stable Diffusion 3, and the model is not")
        self.depth = model.diffusion_model.depth
        if not has_positions(self.weights):
            self._use(self._with_positions_of(model.diffusion_model.network))

    def _with_positions_of(self, base: Network[Any]) -> Network[Any]:
        if base not in self._made:
            stored = {base.original(name): base.stored(name) for name in base.names()}
            whole = with_positions(self.weights, stored)
            self._made.clear()
            self._made[base] = build_mmdit_control(whole, self.policy.unet_dtype)
        return self._made[base]

    def residuals(self, x: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int) -> Control:
        """One residual [B, N, D] for each block of the transformer."""
        found = self._residuals(x, t, cond, batched_number)
        spread = [found[index * len(found) // self.depth] for index in range(self.depth)]
        return {"input": [], "middle": [], "output": [*spread]}

    def _residuals(
        self, x: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int
    ) -> Sequence[Tensor]:
        network, sampling = self.network, self.model_sampling_current
        if network is None or sampling is None:
            raise InvalidInput("a ControlNet was called outside of a run")
        device, dtype = self.policy.device, network.dtype
        config = network.module.config
        masks = int(config.extra_conditioning_channels)
        sees_prompt = config.joint_attention_dim is not None
        latents = SD3()
        if sees_prompt and not masks:
            # Those of InstantX were trained with latents that are not shifted.
            latents.shift_factor = 0.0
        hint = encoded_hint(self, x, batched_number, latents, masks)
        pooled, context = cond["y"], cond["c_crossattn"]
        check_prompt(network.module, context, pooled)
        with self.policy.using(network, device) as module:
            found: Sequence[Tensor] = module(
                whole_patches(sampling.calculate_input(t, x), config.patch_size).to(device, dtype),
                whole_patches(hint, config.patch_size).to(device, dtype),
                encoder_hidden_states=context.to(device, dtype) if sees_prompt else None,
                # Nor were networks that see the prompt given its pooled form.
                pooled_projections=(pooled * 0 if sees_prompt else pooled).to(device, dtype),
                timestep=sampling.timestep(t).float().to(device),
                return_dict=False,
            )[0]
        return found
