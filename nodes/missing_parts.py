"""Errors for parts that a checkpoint does not hold."""

from __future__ import annotations

from typing import TypeAlias

from models.audio.vae import AudioVaeHandle
from models.errors import InvalidInput
from models.text.handle import TextHandle
from nodes.pixel_space import Vae

AnyVae: TypeAlias = Vae | AudioVaeHandle  # what VAE sockets carry


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


def need_vae(vae: AnyVae | None) -> Vae:
    """The VAE, which is one of pictures, or an error that says what to do."""
    if vae is None:
        raise PartMissingHere("VAE", "Load one with VAELoader.")
    if isinstance(vae, AudioVaeHandle):
        raise InvalidInput("this VAE is for sounds, and the node works on pictures: load another")
    return vae


def need_audio_vae(vae: AnyVae | None) -> AudioVaeHandle:
    """The VAE, which is one of sounds, or an error that says what to do."""
    if vae is None:
        raise PartMissingHere("audio VAE", "Load one with VAELoader or LTXVAudioVAELoader.")
    if not isinstance(vae, AudioVaeHandle):
        raise InvalidInput("this VAE is for pictures, and the node works on sounds: load another")
    return vae
