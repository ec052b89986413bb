"""Wan as packs see it: its transformer, and the inputs of conditionings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network
from models.protocol.base_model import BaseModel
from models.protocol.conds import CONDNoiseShape, CONDRegular
from models.protocol.denoiser import Denoiser
from models.protocol.latent_formats import Wan22
from models.sampling.conditioning import repeat_to_batch

if TYPE_CHECKING:
    from diffusers import WanTransformer3DModel

_MASK: Final = 4  # channels: a frame each that a latent frame stands for


class Wan(BaseModel):
    """The network sees the prompt, and maybe what an image encoder says of a picture.

    It may see a film beside the noisy one, of which a mask says which frames are given, and
    pictures after its last frame.
    """

    is_plain = False
    stretches_context = False

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """`c_crossattn`, `c_concat`, `clip_fea` [B, T, D], `time_dim_concat` [B, C, n, h, w]."""
        found = super().extra_conds(**kwargs)
        seen = kwargs.get("clip_vision_output")
        if seen is not None:
            found["clip_fea"] = CONDRegular(seen["penultimate_hidden_states"])
        after = kwargs.get("time_dim_concat")
        if after is not None:
            found["time_dim_concat"] = CONDNoiseShape(self.process_latent_in(after))
        to_make = kwargs.get("denoise_mask")
        if to_make is not None and self.is_told_what_is_given:
            found["to_make"] = CONDNoiseShape(to_make)
        return found

    @property
    def is_told_what_is_given(self) -> bool:
        """Whether frames that are given come as they are, at the time 0: Wan 2.2's small one."""
        return isinstance(self.latent_format, Wan22)

    def scale_latent_inpaint(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, **kwargs: Any
    ) -> Tensor:
        """The known part of a latent at a noise level, or without noise."""
        if self.is_told_what_is_given:
            return latent_image
        return super().scale_latent_inpaint(sigma, noise, latent_image, **kwargs)

    def concat_cond(self, **kwargs: Any) -> Tensor | None:
        """The mask (1: given) and the film beside the noisy one, or films alone; or nothing.

        As in diffusers' WanImageToVideoPipeline. What is not there counts as not given.
        """
        noise: Tensor = kwargs["noise"]
        channels = self.latent_format.channels
        further = self.diffusion_model.in_channels - channels
        if further <= 0:
            return None
        has_mask = further % channels == _MASK
        if further % channels not in (0, _MASK):
            raise InvalidInput(f"no network of Wan that sees {further} more channels is known here")
        films = self._films(kwargs.get("concat_latent_image"), noise, further // channels)
        if not has_mask:
            return films
        return torch.cat([_given(kwargs.get("concat_mask"), noise), films], dim=1)

    def _films(self, image: Tensor | None, noise: Tensor, count: int) -> Tensor:
        """`count` films in the space of the model, [B, count C, t, h, w]; zeros without one."""
        wanted = (count * noise.shape[1], *noise.shape[2:])
        if image is None:
            return noise.new_zeros(len(noise), *wanted)
        if tuple(image.shape[1:]) != wanted:
            raise InvalidInput(
                f"this network sees a film of the shape {list(wanted)} beside the noisy one, and "
                f"was given one of {list(image.shape[1:])}"
            )
        films = [self.process_latent_in(film) for film in image.chunk(count, dim=1)]
        return repeat_to_batch(torch.cat(films, dim=1), len(noise)).to(noise)


def _given(mask: Tensor | None, noise: Tensor) -> Tensor:
    """[B, 4, t, h, w]: 1 where a film is given, from a mask of what is to be made."""
    shape = (_MASK, *noise.shape[2:])
    if mask is None:
        return noise.new_zeros(len(noise), *shape)
    if tuple(mask.shape[1:]) != shape:
        raise InvalidInput(f"the mask of a film must be {list(shape)}, not {list(mask.shape[1:])}")
    return 1 - repeat_to_batch(mask, len(noise)).to(noise)


class WanTransformer(Denoiser):
    """The transformer."""

    input_layer = "patch_embedding"

    def __init__(self, network: Network[WanTransformer3DModel], policy: Policy) -> None:
        super().__init__(network, policy)
        config = network.module.config
        self.in_channels = int(config.in_channels)
        self.out_channels = int(config.out_channels)
        self.context_channels = int(config.text_dim)
        self.patch_size = tuple(config.patch_size)

    def call(
        self,
        module: Any,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        *,
        control: Mapping[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        clip_fea: Tensor | None = None,
        time_dim_concat: Tensor | None = None,
        to_make: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        """[B, C, t, h, w] of x [B, C + more, t, h, w] at times in 0..1000, context [B, T, D].

        Pictures [B, C, n, h, w] go after the last frame, and do not come out again. What is not
        `to_make` [B, 1, t, h, w] is at the time 0.
        """
        if context is None:
            raise InvalidInput("Wan was called without a prompt")
        if context.shape[-1] != self.context_channels:
            raise InvalidInput(
                f"the prompt has {context.shape[-1]} channels and this model takes "
                f"{self.context_channels}: encode it with the text encoder that goes with the model"
            )
        frames, height, width = x.shape[2:]
        if time_dim_concat is not None:
            x = torch.cat([x, self._after(time_dim_concat, x)], dim=2)
        output: Tensor = module(
            _whole(x, self.patch_size),
            timestep=timesteps if to_make is None else self._times(timesteps, to_make),
            encoder_hidden_states=context,
            encoder_hidden_states_image=_seen(module.config, clip_fea),
            return_dict=False,
        )[0]
        return output[:, :, :frames, :height, :width]

    def _times(self, timesteps: Tensor, to_make: Tensor) -> Tensor:
        """The time of each token [B, T], as in diffusers' WanImageToVideoPipeline."""
        rows, columns = self.patch_size[1:]
        tokens = to_make[:, 0, :, ::rows, ::columns].flatten(1).to(timesteps)
        return timesteps[:, None] * tokens

    def _after(self, pictures: Tensor, x: Tensor) -> Tensor:
        """Pictures with all channels that the network sees: zeros for those beside."""
        if pictures.shape[1] != self.out_channels or pictures.shape[3:] != x.shape[3:]:
            raise InvalidInput(
                "pictures after the frames of a film must have its sides and channels"
            )
        return functional.pad(pictures.to(x), (0, 0, 0, 0, 0, 0, 0, x.shape[1] - self.out_channels))

    def unet_config(self) -> dict[str, Any]:
        """Widths and depth."""
        config = self.network.module.config
        width = config.num_attention_heads * config.attention_head_dim
        return {
            "image_model": "wan2.1",
            "model_type": "t2v" if config.image_dim is None else "i2v",
            "dim": width,
            "in_dim": self.in_channels,
            "out_dim": self.out_channels,
            "num_heads": config.num_attention_heads,
            "num_layers": config.num_layers,
            "ffn_dim": config.ffn_dim,
            "text_dim": self.context_channels,
        }

    def stated(self) -> dict[str, Any]:
        """Heads of another width than those of published networks."""
        from models.families.wan_transformer import HEAD

        config = self.network.module.config
        usual = config.attention_head_dim == HEAD
        return {} if usual else {"num_attention_heads": config.num_attention_heads}


def _seen(config: Any, tokens: Tensor | None) -> Tensor | None:
    """What an image encoder says, as a network takes it; None for one that does not."""
    if config.image_dim is None or tokens is None:
        return None
    if tokens.shape[-1] != config.image_dim:
        raise InvalidInput(
            f"this network takes what image encoders of {config.image_dim} channels say, not of "
            f"{tokens.shape[-1]}: use the one that goes with the model"
        )
    if config.pos_embed_seq_len is None:
        return tokens
    if tokens.shape[1] != config.pos_embed_seq_len:
        raise InvalidInput(
            "this network has to be told what an image encoder says of the first frame and of the "
            "last: use WanFirstLastFrameToVideo"
        )
    return tokens.reshape(2 * len(tokens), -1, tokens.shape[-1])  # a picture for itself


def _whole(x: Tensor, patch: tuple[int, ...]) -> Tensor:
    """x [B, C, t, h, w], its last values repeated to whole patches."""
    missing = [-side % size for side, size in zip(x.shape[2:], patch, strict=True)]
    if not any(missing):
        return x
    return functional.pad(x, (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate")
