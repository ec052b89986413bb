"""How an autoencoder of films lays out its latents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FilmLayout:
    """The shape and the space of latents [B, channels, t, h, w].

    Latents on sockets are those of the network, or, where `is_normalised`, of a mean of 0 and a
    deviation of 1 by the statistics that the network holds (`latents_mean`, `latents_std`).
    """

    scale: int  # pixels of an element along each side
    frames: int  # that a latent frame stands for, after the first, which stands for one
    channels: int
    colours: int = 3  # channels of a picture: 4 with transparency
    is_of_pictures: bool = False  # whether each picture of several is a film of its own
    is_normalised: bool = False

    def latent_frames(self, length: int) -> int:
        """How many latent frames stand for a film of that length."""
        return (length - 1) // self.frames + 1

    def whole_frames(self, length: int) -> int:
        """How many frames of a film of that length fill latent frames."""
        return (self.latent_frames(length) - 1) * self.frames + 1
