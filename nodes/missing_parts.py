"""Errors for parts that a checkpoint does not hold."""

from __future__ import annotations

from models.text.handle import TextHandle
from nodes.pixel_space import Vae


class PartMissingHere(Exception):
    """A node was given nothing where it needs a part of a model."""

    def __init__(self, part: str, advice: str) -> None:
        super().__init__(f"this node was given no {part}: the checkpoint holds none. {advice}")
        self.part = part


def need_text_encoder(clip: TextHandle | None) -> TextHandle:
    """The text encoder, or an error that says what to do."""
    if clip is None:
        raise PartMissingHere("text encoder", "Use a checkpoint that has one.")
    return clip


def need_vae(vae: Vae | None) -> Vae:
    """The VAE, or an error that says what to do."""
    if vae is None:
        raise PartMissingHere("VAE", "Load one with VAELoader.")
    return vae
