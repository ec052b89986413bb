"""Qwen-Image as packs see it: its transformer, and the inputs of conditionings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network
from models.protocol.base_model import BaseModel
from models.protocol.conds import CONDConstant, CONDList
from models.protocol.denoiser import Denoiser
from models.protocol.dit_patches import (
    block_replacements,
    patched_attention,
    replaced_joint_blocks,
)
from models.protocol.flux import ROPE_OPTIONS, patchify, unpatchify
from models.protocol.qwen_positions import Shape
from models.protocol.transformer import whole_patches

if TYPE_CHECKING:
    from diffusers import QwenImageTransformer2DModel

PATCH: Final = 2
# How pictures to refer to are placed: by frames of their own. With the second, they are told to be
# without noise (Qwen-Image-Edit-2511).
_METHODS: Final = (None, "index", "index_timestep_zero")


class QwenImage(BaseModel):
    """The network sees the prompt, and the latents of pictures to refer to.

    Prompts of different lengths are not repeated to join a batch: their tokens attend to each other
    and to those of the picture.
    """

    is_plain = False
    stretches_context = False

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """`c_crossattn`, and `ref_latents` with the method by which they are placed."""
        found = super().extra_conds(**kwargs)
        references = kwargs.get("reference_latents")
        if references:
            found["ref_latents"] = CONDList([self.process_latent_in(_film(r)) for r in references])
            found["ref_latents_method"] = CONDConstant(kwargs.get("reference_latents_method"))
        return found


def _film(latent: Tensor) -> Tensor:
    """[B, C, t, h, w] of that, or of the latent [B, C, h, w] of a picture."""
    return latent[:, :, None] if latent.ndim == 4 else latent


class QwenTransformer(Denoiser):
    """The transformer, with the replaced blocks of a call; frames and references are tokens."""

    def __init__(self, network: Network[QwenImageTransformer2DModel], policy: Policy) -> None:
        super().__init__(network, policy)
        config = network.module.config
        self.in_channels = int(config.in_channels) // PATCH**2
        self.out_channels = int(config.out_channels)
        self.patch_size = PATCH
        self.context_channels = int(config.joint_attention_dim)
        self.is_layered = bool(config.use_additional_t_cond)

    def call(
        self,
        module: Any,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        *,
        control: Mapping[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        ref_latents: Sequence[Tensor] = (),
        ref_latents_method: str | None = None,
        **inputs: Any,
    ) -> Tensor:
        """[B, C, t, h, w] of x [B, C, t, h, w] at times in 0..1, with context [B, T, D].

        Pictures or films to refer to are [B, C, t, h, w] as well.
        """
        self._check(context, ref_latents, ref_latents_method)
        options = transformer_options or {}
        films = [_whole(film) for film in (x, *ref_latents)]
        shapes = [_tokens_of(film) for film in films]
        tokens = torch.cat([_tokens(film) for film in films], dim=1)
        more = {}
        if self.is_layered:
            more["additional_t_cond"] = torch.zeros(len(x), dtype=torch.long, device=x.device)
        is_clean = ref_latents_method == "index_timestep_zero" and bool(ref_latents)
        with (
            _placing(module, self.is_layered, options.get(ROPE_OPTIONS)),
            _clean_references(module, is_clean),
            patched_attention(options),
            replaced_joint_blocks(module.transformer_blocks, block_replacements(options), options),
        ):
            output: Tensor = module(
                tokens,
                encoder_hidden_states=context,
                timestep=timesteps,
                img_shapes=[shapes] * len(x),
                return_dict=False,
                **more,
            )[0]
        frames, *sides = shapes[0]
        made = output[:, : frames * sides[0] * sides[1]]
        pictures = unpatchify(
            made.reshape(len(x) * frames, -1, made.shape[-1]), (sides[0], sides[1])
        )
        return _films(pictures[..., : x.shape[-2], : x.shape[-1]], len(x))

    def _check(
        self, context: Tensor | None, references: Sequence[Tensor], method: str | None
    ) -> None:
        if context is None:
            raise InvalidInput("Qwen-Image was called without a prompt")
        if context.shape[-1] != self.context_channels:
            raise InvalidInput(
                f"the prompt has {context.shape[-1]} channels and this model takes "
                f"{self.context_channels}: encode it with the text encoder that goes with the model"
            )
        if any(latent.shape[1] != self.in_channels for latent in references):
            raise InvalidInput(
                f"this network sees {self.in_channels} channels; a latent to refer to has "
                f"{next(iter(references)).shape[1]}"
            )
        if method not in _METHODS:
            raise InvalidInput(
                f"Qwen-Image cannot place pictures to refer to by the method '{method}'; it has "
                "'index' and 'index_timestep_zero'"
            )

    def unet_config(self) -> dict[str, Any]:
        """Widths and depth."""
        config = self.network.module.config
        return {
            "image_model": "qwen_image",
            "in_channels": int(config.in_channels),
            "out_channels": self.out_channels,
            "num_layers": config.num_layers,
            "joint_attention_dim": self.context_channels,
            "use_additional_t_cond": self.is_layered,
        }


def _pictures(film: Tensor) -> Tensor:
    """b c t h w -> (b t) c h w"""
    return film.transpose(1, 2).flatten(0, 1)


def _films(pictures: Tensor, count: int) -> Tensor:
    """(b t) c h w -> b c t h w"""
    return pictures.reshape(count, -1, *pictures.shape[1:]).transpose(1, 2)


def _whole(film: Tensor) -> Tensor:
    """Frames [B, C, t, h, w], continued to whole patches."""
    return _films(whole_patches(_pictures(film), PATCH), len(film))


def _tokens_of(film: Tensor) -> Shape:
    """Frames, rows and columns of tokens."""
    frames, height, width = film.shape[-3:]
    return frames, height // PATCH, width // PATCH


def _tokens(film: Tensor) -> Tensor:
    """b c t (h 2) (w 2) -> b (t h w) (c 2 2)"""
    found = patchify(_pictures(film))
    return found.reshape(len(film), -1, found.shape[-1])


@contextmanager
def _placing(module: Any, is_layered: bool, options: Mapping[str, float] | None) -> Iterator[None]:
    """Have tokens placed so, for a call."""
    positions = module.pos_embed
    before = positions.is_layered, positions.options
    positions.is_layered, positions.options = is_layered, options
    try:
        yield
    finally:
        positions.is_layered, positions.options = before


@contextmanager
def _clean_references(module: Any, is_clean: bool) -> Iterator[None]:
    """Have the network be told that pictures to refer to are without noise, if they are."""
    parts = (module, *module.transformer_blocks) if is_clean else ()
    for part in parts:
        part.zero_cond_t = True
    try:
        yield
    finally:
        for part in parts:
            part.zero_cond_t = False
