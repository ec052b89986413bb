"""FluxTransformer: a Flux network of ours under the interface of the original network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from models.families.flux_transformer import PATCH
from models.memory import Policy
from models.network import Network
from models.protocol.denoiser import Denoiser
from models.protocol.flux_blocks import Blocks, State
from models.protocol.flux_positions import grid, moved, reference_grids
from models.protocol.transformer import check_prompt, whole_patches

if TYPE_CHECKING:
    from diffusers import FluxTransformer2DModel

ROPE_OPTIONS: Final = "rope_options"  # in transformer options: see flux_positions.moved
TIMES: Final = 1000  # times and guidance are embedded as multiples of this


class FluxTransformer(Denoiser):
    """A Flux network; pictures to refer to are tokens after those of the latent."""

    input_layer = "img_in"

    def __init__(self, network: Network[FluxTransformer2DModel], policy: Policy) -> None:
        super().__init__(network, policy)
        config = network.module.config
        self.patch_size = PATCH
        self.in_channels = int(config.in_channels) // PATCH**2
        self.out_channels = int(config.out_channels) // PATCH**2

    def call(
        self,
        module: Any,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        *,
        control: Mapping[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        y: Tensor | None = None,
        guidance: Tensor | None = None,
        ref_latents: Sequence[Tensor] = (),
        ref_latents_method: str | None = None,
        attention_bias: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        """[B, C, h, w] of x [B, C or more, h, w], context [B, T, D], y [B, P] and guidance [B].

        attention_bias [B, T] is added to what every token's attention says of those of the context.
        """
        if context is None or y is None:
            raise InvalidInput("Flux was called without a prompt or without its pooled output")
        check_prompt(module, context, y)
        if any(latent.shape[1] != self.in_channels for latent in ref_latents):
            raise InvalidInput(
                f"this network sees {self.in_channels} channels; a latent to refer to has "
                f"{next(iter(ref_latents)).shape[1]}"
            )
        padded, *references = (whole_patches(latent, PATCH) for latent in (x, *ref_latents))
        sides = tokens_of(padded)
        options = transformer_options or {}
        pictures = [
            grid(*sides, device=x.device),
            *reference_grids(
                [tokens_of(r) for r in references], sides, ref_latents_method, x.device
            ),
        ]
        places = [
            torch.zeros(context.shape[1], 3, device=x.device),
            moved(torch.cat(pictures), options.get(ROPE_OPTIONS)),
        ]
        tokens = torch.cat([patchify(latent) for latent in (padded, *references)], dim=1)
        modulation = modulation_of(module, timesteps, y, guidance)
        state = State(
            img=module.x_embedder(tokens),
            txt=module.context_embedder(context),
            vec=modulation,
            pe=module.pos_embed(torch.cat(places)),
            mask=_mask(attention_bias, tokens),
        )
        img = Blocks(module, options, control or {}).run(state)
        found = module.proj_out(module.norm_out(img[:, : sides[0] * sides[1]], modulation))
        return unpatchify(found, sides)[..., : x.shape[-2], : x.shape[-1]]

    def unet_config(self) -> dict[str, Any]:
        """Widths and depths."""
        config = self.network.module.config
        return {
            "image_model": "flux",
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "vec_in_dim": config.pooled_projection_dim,
            "context_in_dim": config.joint_attention_dim,
            "hidden_size": config.num_attention_heads * config.attention_head_dim,
            "num_heads": config.num_attention_heads,
            "depth": config.num_layers,
            "depth_single_blocks": config.num_single_layers,
            "axes_dim": list(config.axes_dims_rope),
            "guidance_embed": config.guidance_embeds,
        }


def tokens_of(latent: Tensor) -> tuple[int, int]:
    """How many tokens high and wide a padded latent is."""
    return latent.shape[-2] // PATCH, latent.shape[-1] // PATCH


def patchify(latent: Tensor) -> Tensor:
    """b c (h 2) (w 2) -> b (h w) (c 2 2)"""
    height, width = tokens_of(latent)
    split = latent.reshape(*latent.shape[:2], height, PATCH, width, PATCH)
    return split.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpatchify(tokens: Tensor, sides: tuple[int, int]) -> Tensor:
    """b (h w) (c 2 2) -> b c (h 2) (w 2)"""
    split = tokens.reshape(len(tokens), *sides, -1, PATCH, PATCH)
    return split.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def modulation_of(module: Any, timesteps: Tensor, y: Tensor, guidance: Tensor | None) -> Tensor:
    """[B, D] of times in 0..1, the pooled prompt and, if the network has it, the guidance.

    Times are embedded in single precision: half precision cannot tell neighbours apart.
    """
    embed = module.time_text_embed

    def embedded(layer: Any, value: Tensor) -> Tensor:
        found: Tensor = layer(embed.time_proj(value.float() * TIMES).to(y.dtype))
        return found

    found: Tensor = embedded(embed.timestep_embedder, timesteps) + embed.text_embedder(y)
    if guidance is not None and module.config.guidance_embeds:
        found = found + embedded(embed.guidance_embedder, guidance)
    return found


def _mask(bias: Tensor | None, tokens: Tensor) -> Tensor | None:
    """[B, 1, 1, T + N]: the bias of T tokens of the context, none of N of the picture."""
    if bias is None:
        return None
    return functional.pad(bias, (0, tokens.shape[1]))[:, None, None]
