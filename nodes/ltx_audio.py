"""Nodes for the sounds of LTX-2, which a VAE and a vocoder in the checkpoint make."""

from __future__ import annotations

from typing import ClassVar, Final

import torch

from models.audio.load import load_audio_vae
from models.audio.vae import AudioVaeHandle
from models.joint_latent import sound_of
from nodes.audio_vae import encoded
from nodes.base import Declared, FileOptions, inputs
from nodes.missing_parts import AnyVae, need_audio_vae
from nodes.schema import SchemaNode
from nodes.sound_files import Sound, needed
from nodes.tensors.latents import Latent

_RATE: Final = {"widgetType": "FLOAT", "default": 25.0, "min": 1.0, "max": 1000.0, "step": 0.01}
_VAE: Final = ("VAE", {"display_name": "Audio VAE"})


def _number(default: int, most: int) -> Declared:
    return ("INT", {"default": default, "min": 1, "max": most, "step": 1, "display": "number"})


class _LtxNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_lt_audio"
    CATEGORY = "audio"


class LTXVAudioVAELoader(_LtxNode):
    """Loads the VAE of sounds that a checkpoint has beside that of films."""

    DISPLAY_NAME = "LTXV Audio VAE Loader"
    REQUIRED = inputs(ckpt_name=(FileOptions("checkpoints"),))
    RETURN_TYPES = ("VAE",)
    RETURN_NAMES = ("Audio VAE",)

    def run(self, ckpt_name: str) -> tuple[AudioVaeHandle]:
        """Nothing else of the checkpoint is read."""
        path = self.context.folders.full_path("checkpoints", ckpt_name)
        return (load_audio_vae(path, self.context.policy),)


class LTXVAudioVAEEncode(_LtxNode):
    """Turns sounds into a latent."""

    DISPLAY_NAME = "LTXV Audio VAE Encode"
    REQUIRED = inputs(audio=("AUDIO", {}), audio_vae=_VAE)
    RETURN_TYPES = ("LATENT",)
    RETURN_NAMES = ("Audio Latent",)

    def run(self, audio: Sound | None, audio_vae: AnyVae | None) -> tuple[Latent]:
        """At the VAE's rate and with its channels."""
        return (encoded(need_audio_vae(audio_vae), needed(audio)),)


class LTXVAudioVAEDecode(_LtxNode):
    """Turns a latent into sounds."""

    DISPLAY_NAME = "LTXV Audio VAE Decode"
    REQUIRED = inputs(samples=("LATENT", {}), audio_vae=_VAE)
    RETURN_TYPES = ("AUDIO",)
    RETURN_NAMES = ("Audio",)

    def run(self, samples: Latent, audio_vae: AnyVae | None) -> tuple[Sound]:
        """At the vocoder's rate. Of a film with its sound, the sound is taken."""
        decoder = need_audio_vae(audio_vae)
        waveform = decoder.decode_sound(sound_of(samples["samples"]))
        return ({"waveform": waveform, "sample_rate": decoder.codec.output_rate},)


class LTXVEmptyLatentAudio(_LtxNode):
    """A latent of zeros that lasts as long as a film."""

    DISPLAY_NAME = "LTXV Empty Latent Audio"
    CATEGORY = "latent/audio"
    REQUIRED = inputs(
        frames_number=_number(97, 1000),
        frame_rate=("FLOAT,INT", _RATE),
        batch_size=("INT", {"default": 1, "min": 1, "max": 4096, "display": "number"}),
        audio_vae=_VAE,
    )
    RETURN_TYPES = ("LATENT",)
    RETURN_NAMES = ("Latent",)

    def run(
        self, frames_number: int, frame_rate: float, batch_size: int, audio_vae: AnyVae | None
    ) -> tuple[Latent]:
        """`frame_rate` is in pictures a second."""
        codec = need_audio_vae(audio_vae).codec
        samples = torch.zeros(codec.shape(batch_size, frames_number / frame_rate))
        return ({"samples": samples, "type": "audio"},)
