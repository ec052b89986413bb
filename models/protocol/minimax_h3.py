"""MiniMax-H3 as packs see it: a transformer on one sequence of all there is, and its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network
from models.protocol.conds import CONDConstant
from models.protocol.denoiser import Denoiser
from models.protocol.joint import JointModel, in_row, out_of_row, sound_part
from models.protocol.minimax_h3_layout import PATCH, SIDES, TEXT, Given, Layout, layout
from models.sampling.noise import MAX_SEED, generator

if TYPE_CHECKING:
    from diffusers import MiniMaxH3Transformer3DModel

FILM_SHIFT: Final = 12.0
SOUND_SHIFT: Final = 3.0
_GIVEN_LEVEL: Final = 0.001  # of noise in given pictures and films, as in the training


class MiniMaxH3(JointModel):
    """The network sees the prompt, pictures, films and sounds, and makes a film and its sound."""

    is_plain = False
    stretches_context = False

    def sound_ratio(self, sampling: Any) -> float:
        """Of the shifts of a `model_sampling` object; MiniMaxH3SigmaShift puts one in with both."""
        shift = float(getattr(sampling, "shift", FILM_SHIFT))
        return shift / float(getattr(sampling, "sound_shift", SOUND_SHIFT))

    def check_parts(self, parts: Sequence[Tensor]) -> None:
        """Films [B, C, t, h, w] of whole patches, sounds [B, 2 C, T] of left and right sides."""
        network = self.diffusion_model
        film, sound = parts
        if film.ndim != 5 or sound.ndim != 3 or len(film) != len(sound):
            raise InvalidInput("MiniMax-H3 makes latents of a film [B, C, t, h, w] and its sound")
        channels = (film.shape[1], sound.shape[1])
        if channels != (network.in_channels, network.sound_channels):
            raise InvalidInput(
                f"MiniMax-H3 makes films of {network.in_channels} channels with sounds of "
                f"{network.sound_channels}, not of {channels[0]} and {channels[1]}"
            )
        if any(side % PATCH for side in film.shape[-2:]):
            raise InvalidInput("width and height of a film of MiniMax-H3 are multiples of 32")

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """`c_crossattn`, `token_tags`, `given` with noise in its films, and the latent's shapes."""
        shapes = kwargs.get("latent_shapes") or ()
        if len(shapes) != 2:
            raise InvalidInput(
                "MiniMax-H3 makes a film and its sound: begin with the latent of "
                "MiniMaxH3ImageToVideo, or put two together with LTXVConcatAVLatent"
            )
        found = super().extra_conds(**kwargs)
        context: Tensor = kwargs["cross_attn"]
        tags = kwargs.get("token_tags") or (TEXT,) * context.shape[1]
        source = generator(((kwargs.get("seed") or 0) + 1) & MAX_SEED)
        given = tuple(_noised(block, source) for block in kwargs.get("given") or ())
        for name, value in (("token_tags", tuple(tags)), ("given", given)):
            found[name] = CONDConstant(value)
        found["latent_shapes"] = CONDConstant(tuple(tuple(shape) for shape in shapes))
        return found

    def _apply_model(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The clean row [B, 1, N] of a noisy one; the network tells what leads from noise to it."""
        shapes = kwargs.pop("latent_shapes")
        ratio = self.sound_ratio(self.model_sampling)
        film, sound = out_of_row(x, shapes)
        level = t.to(x)
        part = sound_part(level, ratio)
        sound_level = level * part
        sound = sound * part[:, None, None]
        row = self.diffusion_model(
            film,
            self.process_timestep(1 - level, x=x, **kwargs),
            context=c_crossattn,
            control=control,
            transformer_options=transformer_options or {},
            sound=sound,
            sound_times=1 - sound_level,
            **kwargs,
        )
        way, sound_way = out_of_row(row.to(x.device, torch.float32), shapes)
        clean = film + level[:, None, None, None, None] * way
        clean_sound = sound + sound_level[:, None, None] * sound_way
        return in_row([clean, clean_sound * ratio])


def _noised(block: Given, source: torch.Generator) -> Given:
    """What is given, its film with a little noise."""
    if block.film is None:
        return block
    noise = torch.randn(block.film.shape, generator=source)
    film = torch.lerp(block.film.float().cpu(), noise, _GIVEN_LEVEL)
    return Given(film=film, sound=block.sound, keyframe=block.keyframe)


class MiniMaxH3Transformer(Denoiser):
    """The transformer."""

    def __init__(self, network: Network[MiniMaxH3Transformer3DModel], policy: Policy) -> None:
        super().__init__(network, policy)
        config = network.module.config
        self.in_channels = self.out_channels = int(config.in_channels)
        self.sound_channels = SIDES * int(config.audio_in_channels)
        self.context_channels = int(config.text_dim)

    def call(
        self,
        module: Any,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        *,
        control: Mapping[str, list[Any]] | None = None,
        transformer_options: dict[str, Any] | None = None,
        sound: Tensor | None = None,
        sound_times: Tensor | None = None,
        token_tags: Sequence[int] = (),
        given: Sequence[Given] = (),
        **inputs: Any,
    ) -> Tensor:
        """A row [B, 1, N] of what leads to the clean film and sound.

        x is the film [B, C, t, h, w], with a sound [B, 2 C, T], at times [B] in 0..1, where 1 is
        clean and all items have the same; context is [B, L, D], with a tag for each token.
        """
        if context is None or sound is None or sound_times is None:
            raise InvalidInput("MiniMax-H3 was called without a prompt or a sound")
        self._check(context, token_tags, given)
        shape = (int(x.shape[2]), int(x.shape[3]), int(x.shape[4]))
        found = layout(token_tags, given, shape, sound.shape[-1])
        films = [block.film for block in given if block.film is not None]
        sounds = [block.sound for block in given if block.sound is not None]
        times, numbers = _times(found, timesteps, sound_times)
        made, made_sound = module(
            hidden_states=_joined([*films, x], _tokens),
            audio_hidden_states=_joined([*sounds, sound], _sound_tokens),
            encoder_hidden_states=context,
            timestep=times,
            timestep_indices=numbers.to(x.device),
            token_tags=found.tags.to(x.device),
            position_ids=found.positions.to(x.device, torch.float32),
            video_indices=found.films.to(x.device),
            audio_indices=found.sounds.to(x.device),
            text_indices=found.text.to(x.device),
            return_dict=False,
        )
        film = _film(made[:, found.given_films :], x.shape)
        return in_row([film, _sound(made_sound[:, found.given_sounds :], sound.shape)])

    def _check(self, context: Tensor, tags: Sequence[int], given: Sequence[Given]) -> None:
        if context.shape[-1] != self.context_channels:
            raise InvalidInput(
                f"the prompt has {context.shape[-1]} channels and this model takes "
                f"{self.context_channels}: encode it with the text encoder that goes with the model"
            )
        if len(tags) != context.shape[1]:
            raise InvalidInput(
                "the prompt of MiniMax-H3 was changed since its node encoded it: its tokens are "
                f"{context.shape[1]}, and {len(tags)} are told apart"
            )
        for block in given:
            if block.film is not None and block.film.shape[1] != self.in_channels:
                raise InvalidInput(
                    f"this network sees films of {self.in_channels} channels; one that is given "
                    f"has {block.film.shape[1]}: encode it with the VAE of MiniMax-H3"
                )
            if block.sound is not None and block.sound.shape[1] != self.sound_channels:
                raise InvalidInput(
                    f"this network hears sounds of {self.sound_channels} channels; one that is "
                    f"given has {block.sound.shape[1]}: encode it with the VAE of MiniMax-H3"
                )

    def unet_config(self) -> dict[str, Any]:
        """Widths and depth."""
        config = self.network.module.config
        return {
            "image_model": "minimax_h3",
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "num_layers": config.num_layers,
            "hidden_size": config.hidden_size,
            "text_dim": self.context_channels,
        }


def _times(found: Layout, film: Tensor, sound: Tensor) -> tuple[Tensor, Tensor]:
    """(times [4], the number of each token's time [S]): the film's, the sound's, of what is given.

    Tokens of the prompt have the film's.
    """
    clean = torch.ones_like(film[0])
    times = torch.stack([film[0], sound[0], film[0].clamp(min=1 - _GIVEN_LEVEL), clean])
    numbers = torch.zeros(len(found.tags), dtype=torch.long)
    numbers[found.films[: found.given_films]] = 2
    numbers[found.sounds] = 1
    numbers[found.sounds[: found.given_sounds]] = 3
    return times, numbers


def _joined(parts: Sequence[Tensor], tokens: Any) -> Tensor:
    """The tokens of all parts, one after another; given ones are the same for each item."""
    last = parts[-1]
    return torch.cat([tokens(part.to(last)).expand(len(last), -1, -1) for part in parts], dim=1)


def _tokens(film: Tensor) -> Tensor:
    """b c t (h 2) (w 2) -> b (t h w) (c 2 2)"""
    count, channels, frames, height, width = film.shape
    cut = film.reshape(count, channels, frames, height // PATCH, PATCH, width // PATCH, PATCH)
    return cut.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(1, 3)


def _film(tokens: Tensor, shape: Sequence[int]) -> Tensor:
    """b (t h w) (c 2 2) -> b c t (h 2) (w 2)"""
    count, channels, frames, height, width = shape
    cut = tokens.reshape(count, frames, height // PATCH, width // PATCH, channels, PATCH, PATCH)
    return cut.permute(0, 4, 1, 2, 5, 3, 6).reshape(count, channels, frames, height, width)


def _sound_tokens(sound: Tensor) -> Tensor:
    """b (2 c) t -> b (2 t) c"""
    count, channels, length = sound.shape
    sides = sound.reshape(count, SIDES, channels // SIDES, length)
    return sides.transpose(2, 3).flatten(1, 2)


def _sound(tokens: Tensor, shape: Sequence[int]) -> Tensor:
    """b (2 t) c -> b (2 c) t"""
    count, channels, length = shape
    sides = tokens.reshape(count, SIDES, length, channels // SIDES)
    return sides.transpose(2, 3).reshape(count, channels, length)
