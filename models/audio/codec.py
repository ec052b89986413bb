"""SoundCodec: how the sounds and latents of one architecture go through its network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class SoundCodec(ABC):
    """Sounds are [B, channels, T] in -1..1, latents [B, latent_channels, frames, *bands].

    What differs between architectures is in subclasses.
    """

    sample_rate: int  # of sounds that are encoded, in Hz
    channels: int  # of sounds
    hop: int  # samples that one frame of a latent stands for
    latent_channels: int
    bands: tuple[int, ...] = ()  # what latents have behind their frames
    hears_all: bool = False  # whether a latent depends on all of the sound before it

    @property
    def output_rate(self) -> int:
        """The sample rate of sounds that are decoded, in Hz."""
        return self.sample_rate

    @property
    def output_hop(self) -> int:
        """Samples of a decoded sound that one frame of a latent stands for."""
        return self.hop * self.output_rate // self.sample_rate

    def shape(self, batch: int, seconds: float) -> tuple[int, ...]:
        """The shape of latents that last so long, of one frame at least."""
        frames = max(1, round(seconds * self.sample_rate / self.hop))
        return (batch, self.latent_channels, frames, *self.bands)

    def takes(self, latents: Tensor) -> bool:
        """Whether latents have such a shape."""
        channels, bands = latents.shape[1:2], latents.shape[3:]
        return (*channels, *bands) == (self.latent_channels, *self.bands) and latents.numel() > 0

    def as_taken(self, sounds: Tensor) -> Tensor:
        """Sounds [B, C, T] with the channels of the network, to the end of their last frame.

        Mono is heard on all sides; other numbers of channels are mixed down first. What the last
        frame lacks is silence.
        """
        if sounds.shape[1] != self.channels:
            sounds = sounds.mean(dim=1, keepdim=True).expand(-1, self.channels, -1)
        return functional.pad(sounds, (0, -sounds.shape[-1] % self.hop))

    @abstractmethod
    def encode(self, network: Any, sounds: Tensor) -> Tensor:
        """Sounds as `as_taken` gives them to latents: the mean of what they may be."""

    @abstractmethod
    def decode(self, network: Any, latents: Tensor) -> Tensor:
        """Latents to sounds."""
