"""AudioEncoderHandle: what flows through AUDIO_ENCODER sockets, and what it hears in sounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import InvalidInput, PartMissing
from models.families.wav2vec2_audio import build_wav2vec2, hear_with_wav2vec2
from models.families.whisper_audio import build_whisper, hear_with_whisper
from models.memory import Policy
from models.network import Network
from models.protocol.network_patcher import NetworkPatcher
from models.vision import VisionOutput
from models.weights import Weights, open_weights

SAMPLE_RATE: Final = 16000  # Hz, of what all of them hear

Hear = Callable[[Any, Tensor], tuple[Tensor, ...]]  # network, samples [T] -> states [1, frames, D]


class AudioEncoderOutput(VisionOutput):
    """What an encoder hears in sounds: AUDIO_ENCODER_OUTPUT on a link; read by name and by key.

    hidden_states is a tuple of [B, frames, D], one after each layer and one before the first;
    last_hidden_state is the last of them. There are 50 frames a second. sample_count is how many
    samples of sample_rate Hz were heard.
    """


@dataclass(frozen=True, kw_only=True)
class AudioEncoderHandle:
    """A reference to a loaded encoder of sounds."""

    network: Network[Any]  # of transformers
    hear: Hear
    policy: Policy

    sample_rate = SAMPLE_RATE

    @property
    def model(self) -> Any:
        """The network."""
        return self.network.module

    @property
    def patcher(self) -> NetworkPatcher:
        """The patcher of its weights."""
        return NetworkPatcher(self.network, self.policy.text_device)

    def encode(self, sounds: Tensor) -> AudioEncoderOutput:
        """What is heard in sounds [B, C, T] of `sample_rate`, mixed to mono; float32 on the CPU."""
        if sounds.ndim != 3 or not sounds.numel():
            raise InvalidInput(
                f"an audio encoder takes samples of shape [B, C, T], not {list(sounds.shape)}"
            )
        with self.policy.using(self.network, self.policy.text_device) as network:
            heard = [self.hear(network, sound) for sound in sounds.mean(dim=1)]
        states = tuple(
            torch.cat([state.to("cpu", torch.float32) for state in layer])
            for layer in zip(*heard, strict=True)
        )
        return AudioEncoderOutput(
            hidden_states=states,
            last_hidden_state=states[-1],
            sample_count=sounds.shape[-1],
            sample_rate=self.sample_rate,
        )


def load_audio_encoder(path: Path, policy: Policy) -> AudioEncoderHandle:
    """The encoder of sounds in a file. Raises ModelFileError."""
    return policy.library.fetch(
        ("audio encoder", policy), (path,), lambda: audio_encoder_of(open_weights(path), policy)
    )


def audio_encoder_of(weights: Weights, policy: Policy) -> AudioEncoderHandle:
    """The encoder of sounds in an opened file."""
    wav2vec2 = build_wav2vec2(weights, policy.text_dtype)
    if wav2vec2 is not None:
        return AudioEncoderHandle(network=wav2vec2, hear=hear_with_wav2vec2, policy=policy)
    whisper = build_whisper(weights, policy.text_dtype)
    if whisper is not None:
        return AudioEncoderHandle(network=whisper, hear=hear_with_whisper, policy=policy)
    raise PartMissing(
        weights.path, "audio encoder that is known", "Those of wav2vec 2.0 and Whisper are."
    )
