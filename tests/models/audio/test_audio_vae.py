"""What holds for all autoencoders of sounds: channels, ends, batches, pieces, memory, packs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.audio.load import audio_vae_of
from models.audio.vae import AudioVaeHandle
from models.errors import InvalidInput
from models.memory import Policy
from models.tiles import scale_in_pieces
from models.weights import Weights
from tests.models.audio import tiny_sounds


def of(tensors: dict[str, Tensor], policy: Policy) -> AudioVaeHandle:
    vae = audio_vae_of(Weights(path=Path("a"), tensors=tensors), policy)
    assert vae is not None
    return vae


@pytest.fixture(scope="module")
def vae(policy: Policy) -> AudioVaeHandle:
    return of(tiny_sounds.tensors_of(tiny_sounds.oobleck()), policy)


@pytest.fixture(scope="module")
def ltx2(policy: Policy) -> AudioVaeHandle:
    parts = (tiny_sounds.ltx2_vae().state_dict(), tiny_sounds.vocoder().state_dict())
    return of(tiny_sounds.of_ltx2(*parts), policy)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def test_mono_is_heard_on_both_sides(vae: AudioVaeHandle, ltx2: AudioVaeHandle) -> None:
    for each in (vae, ltx2):
        mono = tiny_sounds.tone(0.1, 16000, channels=1)
        assert torch.equal(each.encode_sound(mono), each.encode_sound(mono.expand(-1, 2, -1)))


def test_more_channels_than_it_has_are_mixed(vae: AudioVaeHandle) -> None:
    six = noise(1, 6, 640)
    assert torch.equal(vae.encode_sound(six), vae.encode_sound(six.mean(dim=1, keepdim=True)))


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (31, 1), (32, 1), (33, 2), (640, 20)])
def test_the_last_frame_is_filled_up_with_silence(
    vae: AudioVaeHandle, samples: int, frames: int
) -> None:
    sound = noise(1, 2, samples)
    filled = torch.cat([sound, torch.zeros(1, 2, frames * 32 - samples)], dim=-1)
    found = vae.encode_sound(sound)
    assert found.shape == (1, 4, frames)
    assert torch.equal(found, vae.encode_sound(filled))
    assert vae.decode_sound(found).shape == (1, 2, frames * 32)


@pytest.mark.parametrize("samples", [1, 500, 1023])
def test_a_sound_too_short_for_a_spectrum_is_filled_up(ltx2: AudioVaeHandle, samples: int) -> None:
    found = ltx2.encode_sound(noise(1, 2, samples))
    assert found.shape == (1, 2, 2, 16)
    assert found.isfinite().all()


def test_silence_has_latents_and_a_sound(vae: AudioVaeHandle, ltx2: AudioVaeHandle) -> None:
    for each in (vae, ltx2):
        latents = each.encode_sound(torch.zeros(1, 2, 3200))
        assert latents.isfinite().all()
        assert each.decode_sound(latents).isfinite().all()


def test_each_sound_of_a_batch_is_treated_alike(vae: AudioVaeHandle, ltx2: AudioVaeHandle) -> None:
    for each in (vae, ltx2):
        sounds = noise(3, 2, 3200)
        latents = each.encode_sound(sounds)
        assert torch.equal(latents[1:2], each.encode_sound(sounds[1:2]))
        assert torch.equal(each.decode_sound(latents)[1:2], each.decode_sound(latents[1:2]))


def test_results_are_plain_float32_on_the_cpu(vae: AudioVaeHandle) -> None:
    latents = vae.encode_sound(noise(1, 2, 640).half())
    assert (latents.dtype, latents.device.type) == (torch.float32, "cpu")
    assert vae.decode_sound(latents.half()).dtype == torch.float32


def test_it_computes_in_float32_whatever_pictures_are_computed_in(policy: Policy) -> None:
    half = replace(policy, vae_dtype=torch.bfloat16)
    made = of(tiny_sounds.tensors_of(tiny_sounds.oobleck()), half)
    assert made.vae_dtype == torch.float32


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (1, 5, 8), (4, 8), (1, 4, 0)])
def test_latents_of_others_are_refused(vae: AudioVaeHandle, shape: tuple[int, ...]) -> None:
    calls: list[Callable[[Tensor], object]] = [vae.decode_sound, vae.decode_sound_in_pieces]
    for call in calls:
        with pytest.raises(InvalidInput, match=r"for sounds: it decodes latents .*\[B, 4, T\]"):
            call(torch.zeros(shape))


def test_latents_of_ltx2_have_bands(ltx2: AudioVaeHandle) -> None:
    with pytest.raises(InvalidInput, match=r"\[B, 2, T, 16\], not \[1, 2, 8\]"):
        ltx2.decode_sound(torch.zeros(1, 2, 8))


@pytest.mark.parametrize("shape", [(1, 2, 0), (1, 8, 8, 3), (8,)])
def test_what_is_no_sound_is_refused(vae: AudioVaeHandle, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"samples of shape \[B, C, T\]"):
        vae.encode_sound(torch.zeros(shape))


@pytest.mark.parametrize(("piece", "overlap"), [(160, 80), (200, 90), (160, 1000)])
def test_pieces_give_what_the_whole_gives(vae: AudioVaeHandle, piece: int, overlap: int) -> None:
    latents = noise(2, 4, 401)
    whole = vae.decode_sound(latents)
    found = vae.decode_sound_in_pieces(latents, piece, overlap)
    assert found.shape == whole.shape
    assert torch.allclose(found, whole, atol=0.001 * whole.std().item())
    sounds = noise(1, 2, 401 * 32)
    encoded, again = vae.encode_sound(sounds), vae.encode_sound_in_pieces(sounds, piece, overlap)
    assert encoded.shape == again.shape
    assert torch.allclose(encoded, again, atol=0.001 * encoded.std().item())


def test_pieces_of_a_causal_decoder_give_what_the_whole_gives(ltx2: AudioVaeHandle) -> None:
    latents = noise(1, 2, 80, 16)
    whole = ltx2.decode_sound(latents)
    found = ltx2.decode_sound_in_pieces(latents, 60, 30)
    assert found.shape == whole.shape == (1, 2, (4 * 80 - 3) * 240)
    assert torch.allclose(found, whole, atol=0.01 * whole.std().item())
    bare = ltx2.decode_sound_in_pieces(latents, 24, 0)
    assert bare.shape == whole.shape


def test_pieces_of_a_spectrum_lie_where_they_belong(ltx2: AudioVaeHandle) -> None:
    sounds = noise(1, 2, 640 * 80 + 77)
    whole = ltx2.encode_sound(sounds)
    found = ltx2.encode_sound_in_pieces(sounds, 60, 30)
    assert found.shape == whole.shape == (1, 2, 81, 16)
    assert (found - whole).square().mean() < 0.01 * whole.square().mean()
    assert torch.allclose(found[:, :, 60:], whole[:, :, 60:], atol=1e-3)


@pytest.mark.parametrize("length", [1, 10, 11, 25, 64])
@pytest.mark.parametrize("overlap", [0, 1, 3, 5])
def test_pieces_of_what_knows_no_surroundings_are_exact(length: int, overlap: int) -> None:
    samples = noise(2, 3, length, 2)
    found = scale_in_pieces(
        samples,
        lambda part: part.repeat_interleave(4, dim=2),
        piece=10,
        overlap=overlap,
        scale=(4, 1),
    )
    assert torch.allclose(found, samples.repeat_interleave(4, dim=2))


def test_what_does_not_fit_into_memory_is_done_in_pieces(
    vae: AudioVaeHandle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    latents, sounds = noise(1, 4, 700), noise(1, 2, 700 * 32)
    expected = vae.decode_sound(latents), vae.encode_sound(sounds)
    codec = type(vae.codec)

    def limited(function: Callable[..., Tensor], most: int) -> Callable[..., Tensor]:
        def run(self: Any, network: Any, data: Tensor) -> Tensor:
            if data.shape[-1] > most:
                raise torch.OutOfMemoryError("too much")
            return function(self, network, data)

        return run

    monkeypatch.setattr(codec, "decode", limited(codec.decode, 600))
    monkeypatch.setattr(codec, "encode", limited(codec.encode, 600 * 32))
    found = vae.decode_sound(latents), vae.encode_sound(sounds)
    for made, wanted in zip(found, expected, strict=True):
        assert torch.allclose(made, wanted, atol=1e-3 * wanted.std().item())
    assert "in tiles" in caplog.text


def test_long_sounds_are_done_in_pieces_at_once(
    vae: AudioVaeHandle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    latents, sounds = noise(1, 4, 700), noise(1, 2, 700 * 32)
    expected = vae.decode_sound(latents), vae.encode_sound(sounds)
    codec, seen = type(vae.codec), []

    def watched(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def run(self: Any, network: Any, data: Tensor) -> Tensor:
            seen.append(data.shape[-1])
            return function(self, network, data)

        return run

    monkeypatch.setattr(codec, "decode", watched(codec.decode))
    monkeypatch.setattr(codec, "encode", watched(codec.encode))
    monkeypatch.setattr("models.audio.vae.LONG", 0.5)  # seconds; it lasts 0.508
    found = vae.decode_sound(latents), vae.encode_sound(sounds)
    assert seen == [512, 512, 512 * 32, 512 * 32]
    for made, wanted in zip(found, expected, strict=True):
        assert torch.allclose(made, wanted, atol=1e-3 * wanted.std().item())
    seen.clear()
    attentive = replace(vae, codec=replace(vae.codec, hears_all=True))
    assert torch.equal(attentive.encode_sound(sounds), expected[1])
    assert seen == [700 * 32]
    assert "memory ran out" not in caplog.text


def test_packs_see_samples_where_they_see_pixels_of_others(vae: AudioVaeHandle) -> None:
    shown: Any = vae
    sounds = noise(1, 2, 640)
    latents = shown.encode(sounds.movedim(1, -1))
    assert torch.equal(latents, vae.encode_sound(sounds))
    decoded = shown.decode(latents)
    assert torch.equal(decoded.movedim(-1, 1), vae.decode_sound(latents))
    assert decoded.shape == (1, 640, 2)
    tiled = shown.decode_tiled(latents, tile_x=32, tile_y=32, overlap=8)
    assert torch.equal(tiled, decoded)
    assert torch.equal(shown.encode_tiled(sounds.movedim(1, -1), tile_x=640, overlap=64), latents)
    assert (shown.latent_dim, shown.latent_channels, shown.output_channels) == (1, 4, 2)
    assert (shown.downscale_ratio, shown.upscale_ratio, shown.audio_sample_rate) == (32, 32, 44100)
    assert shown.first_stage_model is vae.network.module
    assert shown.get_sd().keys() == shown.first_stage_model.state_dict().keys()
    assert shown.memory_used_decode(latents.shape, torch.float32) > 0
    assert shown.process_output(shown.process_input(sounds)) is sounds
    shown.throw_exception_if_invalid()


def test_packs_see_both_rates_of_ltx2(ltx2: AudioVaeHandle) -> None:
    shown: Any = ltx2
    assert (shown.downscale_ratio, shown.upscale_ratio, shown.audio_sample_rate) == (
        640,
        960,
        16000,
    )
    assert (shown.latent_dim, ltx2.codec.output_rate) == (2, 24000)
