"""ControlNets of Flux: they see pictures or latents of them, and add to both kinds of blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from models.control.hint import encoded_hint, fitted_hint
from models.control.network_control import NetworkControl
from models.errors import InvalidInput
from models.families.flux_control import build_flux_control
from models.families.flux_transformer import PATCH
from models.memory import Policy
from models.network import Network
from models.protocol.control import Control
from models.protocol.flux import FluxTransformer, modulation_of, patchify, tokens_of
from models.protocol.flux_positions import grid
from models.protocol.latent_formats import Flux
from models.protocol.transformer import check_prompt, whole_patches
from models.weights import Weights

# Numbers of SetUnionControlNetType -> those of the networks of InstantX and Shakker Labs.
_UNION_MODES: Final = {0: 4, 1: 2, 3: 0, 6: 1}  # pose, depth, canny, tile


class FluxControlNet(NetworkControl):
    """A network with its hint; copies share the network."""

    OUTPUT_DTYPE = None
    network: Network[Any]

    def __init__(self, weights: Weights, policy: Policy) -> None:
        super().__init__(policy, build_flux_control(weights, policy.unet_dtype))
        self.sees_pixels = self.network.module.input_hint_block is not None
        seen = self.network.module.controlnet_x_embedder.in_features
        self.masks = (seen - int(self.network.module.config.in_channels)) // PATCH**2
        self.concat_mask = self.masks > 0
        self.depths = (0, 0)  # of the model that is sampled: double and single blocks

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """A run begins: with this model's noise levels and depths."""
        super().pre_run(model, percent_to_timestep_function)
        if not isinstance(model.diffusion_model, FluxTransformer):
            raise InvalidInput("this ControlNet is for Flux, and the model is not")
        config = model.diffusion_model.network.module.config
        self.depths = (int(config.num_layers), int(config.num_single_layers))

    def residuals(self, x: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int) -> Control:
        """One residual [B, N, D] for each double and each single block."""
        double, single = self._residuals(x, t, cond, batched_number)
        return {
            "input": self._spread(double, self.depths[0]),
            "middle": [],
            "output": self._spread(single, self.depths[1]),
        }

    def _spread(self, found: Sequence[Tensor], depth: int) -> list[Tensor | None]:
        """Over all blocks: over and over again with XLabs, each for some in a row with others."""
        if not found:
            return []
        if self.sees_pixels:
            return [found[index % len(found)] for index in range(depth)]
        each = -(-depth // len(found))
        return [found[index // each] for index in range(depth)]

    def _residuals(
        self, x: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        if self.model_sampling_current is None:
            raise InvalidInput("a ControlNet was called outside of a run")
        sampling, device, dtype = (
            self.model_sampling_current,
            self.policy.device,
            self.network.dtype,
        )
        seen = whole_patches(sampling.calculate_input(t, x).to(device, dtype), PATCH)
        hint = self._hint(x, batched_number).to(device, dtype)
        context, y = (cond[name].to(device, dtype) for name in ("c_crossattn", "y"))
        check_prompt(self.network.module, context, y)
        with self.policy.using(self.network, device) as module:
            img = module.x_embedder(patchify(seen))
            if self.sees_pixels:
                hint = module.input_hint_block(hint)
            img = img + module.controlnet_x_embedder(patchify(whole_patches(hint, PATCH)))
            txt = self._with_mode(module, module.context_embedder(context))
            places = [
                torch.zeros(txt.shape[1], 3, device=device),
                grid(*tokens_of(seen), device=device),
            ]
            shared = {
                "temb": modulation_of(
                    module, sampling.timestep(t).to(device), y, _guidance(cond, y)
                ),
                "image_rotary_emb": module.pos_embed(torch.cat(places)),
            }
            double, single = [], []
            for block, out in zip(module.transformer_blocks, module.controlnet_blocks, strict=True):
                txt, img = block(img, txt, **shared)
                double.append(out(img))
            blocks = module.single_transformer_blocks, module.controlnet_single_blocks
            for block, out in zip(*blocks, strict=True):
                txt, img = block(img, txt, **shared)
                single.append(out(img))
        return double, single

    def _hint(self, x: Tensor, batched_number: int) -> Tensor:
        """[B or 1, C, h, w] in model space, or [B or 1, 3, H, W] in -1..1."""
        if self.sees_pixels:
            return fitted_hint(self, x, batched_number, 3) * 2 - 1
        return encoded_hint(self, x, batched_number, Flux(), self.masks)

    def _with_mode(self, module: Any, txt: Tensor) -> Tensor:
        """The prompt after a token that says what kind of picture the hint is, if that was said."""
        said = [
            _UNION_MODES[n] for n in self.extra_args.get("control_type", ()) if n in _UNION_MODES
        ]
        if not module.union or not said:
            return txt
        modes = module.controlnet_mode_embedder(torch.tensor(said, device=txt.device))
        return torch.cat([modes.expand(len(txt), -1, -1), txt], dim=1)


def _guidance(cond: dict[str, Any], y: Tensor) -> Tensor | None:
    guidance = cond.get("guidance")
    return None if guidance is None else guidance.to(y)
