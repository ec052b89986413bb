"""Nodes between sounds and their latents."""

from __future__ import annotations

from typing import Any, ClassVar

from models.audio.vae import AudioVaeHandle
from models.joint_latent import sound_of
from nodes.base import inputs
from nodes.missing_parts import AnyVae, need_audio_vae
from nodes.schema import SchemaNode
from nodes.sound_files import Sound, needed, resample
from nodes.tensors.latents import Latent


class _SoundNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_audio"
    CATEGORY = "latent/audio"


class VAEDecodeAudio(_SoundNode):
    """Turns a latent into sounds."""

    DISPLAY_NAME = "VAE Decode Audio"
    REQUIRED = inputs(samples=("LATENT", {}), vae=("VAE", {}))
    RETURN_TYPES = ("AUDIO",)

    def run(self, samples: Latent, vae: AnyVae | None) -> tuple[Sound]:
        """As loud as the VAE makes them. Of a film with its sound, the sound is taken."""
        decoder = need_audio_vae(vae)
        return (_sound(decoder, samples, decoder.decode_sound(sound_of(samples["samples"]))),)


class VAEDecodeAudioTiled(_SoundNode):
    """Turns a latent into sounds, a piece at a time."""

    DISPLAY_NAME = "VAE Decode Audio (Tiled)"
    REQUIRED = inputs(
        samples=("LATENT",),
        vae=("VAE",),
        tile_size=("INT", {"default": 512, "min": 32, "max": 8192, "step": 8}),
        overlap=("INT", {"default": 64, "min": 0, "max": 1024, "step": 8}),
    )
    RETURN_TYPES = ("AUDIO",)

    def run(
        self, samples: Latent, vae: AnyVae | None, tile_size: int, overlap: int
    ) -> tuple[Sound]:
        """Sizes are frames of the latent. At most half of a piece overlaps with the next."""
        decoder = need_audio_vae(vae)
        waveform = decoder.decode_sound_in_pieces(sound_of(samples["samples"]), tile_size, overlap)
        return (_sound(decoder, samples, waveform),)


class VAEEncodeAudio(_SoundNode):
    """Turns sounds into a latent."""

    DISPLAY_NAME = "VAE Encode Audio"
    REQUIRED = inputs(audio=("AUDIO", {}), vae=("VAE", {}))
    RETURN_TYPES = ("LATENT",)

    def run(self, audio: Sound | None, vae: AnyVae | None) -> tuple[Latent]:
        """At the VAE's rate and with its channels; the last frame is filled up with silence."""
        return (encoded(need_audio_vae(vae), needed(audio)),)


def encoded(vae: AudioVaeHandle, audio: Sound) -> Latent:
    """The latent of sounds of any rate."""
    waveform = resample(audio["waveform"], audio["sample_rate"], vae.audio_sample_rate)
    return {"samples": vae.encode_sound(waveform), "type": "audio"}


def _sound(vae: AudioVaeHandle, latent: Latent, waveform: Any) -> Sound:
    """At the rate that the latent states, or the VAE's."""
    return {"waveform": waveform, "sample_rate": latent.get("sample_rate", vae.codec.output_rate)}
