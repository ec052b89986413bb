"""Nodes that have networks listen to sounds."""

from __future__ import annotations

from models.audio.encoder import AudioEncoderHandle, AudioEncoderOutput, load_audio_encoder
from nodes.base import FileOptions, inputs
from nodes.schema import SchemaNode
from nodes.sound_files import Sound, needed, resample


class AudioEncoderLoader(SchemaNode):
    """Loads an encoder of sounds: wav2vec 2.0, or that of Whisper."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_audio_encoder"
    CATEGORY = "loaders"
    REQUIRED = inputs(audio_encoder_name=(FileOptions("audio_encoders"),))
    RETURN_TYPES = ("AUDIO_ENCODER",)

    def run(self, audio_encoder_name: str) -> tuple[AudioEncoderHandle]:
        """Files in the layout of transformers."""
        path = self.context.folders.full_path("audio_encoders", audio_encoder_name)
        return (load_audio_encoder(path, self.context.policy),)


class AudioEncoderEncode(SchemaNode):
    """Has an encoder listen to sounds."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_audio_encoder"
    CATEGORY = "conditioning"
    REQUIRED = inputs(audio_encoder=("AUDIO_ENCODER", {}), audio=("AUDIO", {}))
    RETURN_TYPES = ("AUDIO_ENCODER_OUTPUT",)

    def run(
        self, audio_encoder: AudioEncoderHandle, audio: Sound | None
    ) -> tuple[AudioEncoderOutput]:
        """At the encoder's rate, mixed to mono."""
        heard = needed(audio)
        rate = audio_encoder.sample_rate
        return (audio_encoder.encode(resample(heard["waveform"], heard["sample_rate"], rate)),)
