"""Encoders of sounds: files, configurations, and what transformers hears with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Model,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from models.audio.encoder import AudioEncoderHandle, load_audio_encoder
from models.errors import InvalidInput, PartMissing, UnsupportedLayout
from models.families.wav2vec2_audio import wav2vec2_config
from models.families.whisper_audio import whisper_config
from models.memory import Policy
from models.weights import Weights
from tests.models.audio import tiny_sounds

TINY = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 8,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "large": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
}


def wav2vec2(variant: str) -> Wav2Vec2ForCTC:
    made: Wav2Vec2ForCTC = tiny_sounds.filled(
        Wav2Vec2ForCTC(Wav2Vec2Config(**TINY | VARIANTS[variant]))
    )
    return made


def whisper() -> WhisperModel:
    made: WhisperModel = tiny_sounds.filled(
        WhisperModel(
            WhisperConfig(
                d_model=64, encoder_layers=2, encoder_attention_heads=1, encoder_ffn_dim=48,
                decoder_layers=1, decoder_attention_heads=1, decoder_ffn_dim=16,
                num_mel_bins=80, vocab_size=10, pad_token_id=0, bos_token_id=0, eos_token_id=0,
                decoder_start_token_id=0,
            )
        )
    )  # fmt: skip
    return made


def loaded(path: Path, tensors: dict[str, Tensor], policy: Policy) -> AudioEncoderHandle:
    save_file(tensors, path)
    return load_audio_encoder(path, policy)


def with_older_norms(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As files from before torch 2.0 name directions and lengths of weights."""
    words = {"parametrizations.weight.original0": "weight_g"}
    words["parametrizations.weight.original1"] = "weight_v"
    return {
        next((name.replace(new, old) for new, old in words.items() if new in name), name): tensor
        for name, tensor in tensors.items()
    }


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("layout", ["with a head", "alone", "older"])
def test_wav2vec2_hears_what_transformers_hears(
    variant: str, layout: str, tmp_path: Path, policy: Policy
) -> None:
    network = wav2vec2(variant)
    tensors = tiny_sounds.tensors_of(network if layout == "with a head" else network.wav2vec2)
    if layout == "older":
        tensors = with_older_norms(tensors)
    encoder = loaded(tmp_path / "e.safetensors", tensors, policy)
    sounds = tiny_sounds.tone(0.5, 16000, channels=2) + 0.1
    heard = encoder.encode(sounds)
    ear = Wav2Vec2FeatureExtractor()
    mono = sounds.mean(dim=1)[0].numpy()
    values = ear(mono, sampling_rate=16000, return_tensors="pt").input_values
    expected = network.wav2vec2(values, output_hidden_states=True)
    assert len(heard.hidden_states) == len(expected.hidden_states) == 3
    states = (*expected.hidden_states[:-1], expected.last_hidden_state)
    for found, wanted in zip(heard.hidden_states, states, strict=True):
        assert found.shape == (1, 24, 64)
        assert torch.allclose(found, wanted, atol=1e-4)
    assert torch.allclose(heard["last_hidden_state"], expected.last_hidden_state, atol=1e-4)
    assert (heard.sample_count, heard.sample_rate) == (8000, 16000)


@pytest.mark.parametrize("prefix", ["model.", "", None])
def test_whisper_hears_what_transformers_hears(
    prefix: str | None, tmp_path: Path, policy: Policy
) -> None:
    network = whisper()
    if prefix is None:
        tensors = tiny_sounds.tensors_of(network.encoder)
    else:
        tensors = {prefix + k: t for k, t in tiny_sounds.tensors_of(network).items()}
        tensors = {k: t for k, t in tensors.items() if "decoder." not in k or "layers.0" in k}
    encoder = loaded(tmp_path / "e.safetensors", tensors, policy)
    sound = tiny_sounds.tone(31.5, 16000, channels=1)
    heard = encoder.encode(sound)
    ear = WhisperFeatureExtractor()
    mono = sound[0, 0].numpy()
    parts = [
        network.encoder(
            ear(part, sampling_rate=16000, return_tensors="pt").input_features,
            output_hidden_states=True,
        ).hidden_states
        for part in (mono[:480000], mono[480000:])
    ]
    assert len(heard.hidden_states) == 3
    for layer, found in enumerate(heard.hidden_states):
        wanted = torch.cat([part[layer] for part in parts], dim=1)[:, :1575]
        assert found.shape == (1, 1575, 64)  # 50 a second
        assert torch.allclose(found, wanted, atol=1e-4)


def test_sounds_of_a_batch_are_heard_by_themselves(tmp_path: Path, policy: Policy) -> None:
    tensors = tiny_sounds.tensors_of(wav2vec2("large"))
    encoder = loaded(tmp_path / "e.safetensors", tensors, policy)
    sounds = torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(1))
    both, second = encoder.encode(sounds), encoder.encode(sounds[1:] * 0.3)
    # The second one's loudness makes no difference.
    assert torch.allclose(both.last_hidden_state[1:], second.last_hidden_state, atol=1e-3)


@pytest.mark.parametrize("samples", [1, 399, 400])
def test_a_very_short_sound_is_one_frame(samples: int, tmp_path: Path, policy: Policy) -> None:
    tensors = tiny_sounds.tensors_of(wav2vec2("base"))
    encoder = loaded(tmp_path / "e.safetensors", tensors, policy)
    heard = encoder.encode(torch.ones(1, 1, samples))
    assert heard.last_hidden_state.shape == (1, 1, 64)
    assert heard.last_hidden_state.isfinite().all()


@pytest.mark.parametrize("shape", [(1, 1, 0), (8000,)])
def test_what_is_no_sound_is_refused(
    shape: tuple[int, ...], tmp_path: Path, policy: Policy
) -> None:
    tensors = tiny_sounds.tensors_of(wav2vec2("base"))
    encoder = loaded(tmp_path / "e.safetensors", tensors, policy)
    with pytest.raises(InvalidInput, match=r"\[B, C, T\]"):
        encoder.encode(torch.zeros(shape))


def test_other_files_are_refused(tmp_path: Path, policy: Policy) -> None:
    with pytest.raises(PartMissing, match="no audio encoder that is known"):
        loaded(tmp_path / "a.safetensors", {"a": torch.zeros(1)}, policy)
    short = Wav2Vec2Model(
        Wav2Vec2Config(
            **TINY | {"conv_dim": [16] * 2, "conv_kernel": [10, 3], "conv_stride": [5, 2]}
        )
    )
    with pytest.raises(UnsupportedLayout, match="seven layers"):
        loaded(tmp_path / "b.safetensors", tiny_sounds.tensors_of(short), policy)


PUBLISHED: dict[str, dict[str, Any]] = {
    "base": {},
    "large": {
        "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
        "intermediate_size": 4096, "conv_bias": True, "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_wav2vec2_files_have_their_configurations(name: str) -> None:
    published = Wav2Vec2Config(**PUBLISHED[name])
    with torch.device("meta"):
        module = Wav2Vec2Model(published)
    found = wav2vec2_config(Weights(path=Path("a"), tensors=dict(module.state_dict())))
    assert found.pop("mask_time_prob") == 0
    assert found == {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in published.to_dict().items()
        if key in found
    }


def test_the_published_whisper_has_its_configuration() -> None:
    published = WhisperConfig(
        d_model=1280, encoder_layers=32, encoder_attention_heads=20, encoder_ffn_dim=5120,
        num_mel_bins=128, decoder_layers=1, decoder_attention_heads=20,
    )  # fmt: skip
    with torch.device("meta"):
        encoder = WhisperModel(published).encoder
    found = whisper_config(Weights(path=Path("a"), tensors=dict(encoder.state_dict())))
    assert found == {key: getattr(published, key) for key in found}
