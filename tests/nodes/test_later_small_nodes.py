"""Small nodes of later releases: empty latents of sounds, films in pieces, pictures to refer to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import InvalidInput
from models.load import Checkpoint
from models.memory import choose_policy
from models.vae import VaeHandle
from nodes.audio_latents import EmptyMiniMaxMusic3LatentAudio, EmptyYuE2LatentAudio
from nodes.dance_segments import WanDancerPadKeyframesList
from nodes.json_prompts import Flux3LayoutPrompt
from nodes.latent_pieces import SeedVR2TemporalChunk, SeedVR2TemporalMerge
from nodes.missing_parts import PartMissingHere
from nodes.pixel_space import PixelSpaceVae
from nodes.reference_pictures import ReferenceMultiLatent
from nodes.sound_files import Sound
from tests.models.conftest import policy, tiny, tiny_file
from tests.nodes.context import node_context

__all__ = ["policy", "tiny", "tiny_file"]


@pytest.mark.parametrize(
    ("node", "seconds", "shape"),
    [
        (EmptyYuE2LatentAudio, 120.0, (2, 64, 3000)),
        (EmptyYuE2LatentAudio, 0.01, (2, 64, 1)),
        (EmptyMiniMaxMusic3LatentAudio, 120.0, (2, 128, 10335)),
        (EmptyMiniMaxMusic3LatentAudio, 0.04, (2, 128, 3)),
    ],
)
def test_an_empty_sound_has_the_frames_of_its_model(
    node: type[Any], seconds: float, shape: tuple[int, ...]
) -> None:
    (latent,) = node().run(seconds, 2)
    assert (tuple(latent["samples"].shape), latent["type"]) == (shape, "audio")
    assert not latent["samples"].any()


def film(frames: int) -> dict[str, Any]:
    noise = torch.randn(1, 4, frames, 2, 3, generator=torch.Generator().manual_seed(frames))
    return {"samples": noise, "batch_index": [3]}


def manual(frames: int) -> dict[str, Any]:
    return {"chunking_mode": "manual", "frames_per_chunk": frames}


@pytest.mark.parametrize(
    ("frames", "overlap", "lengths"),
    [(9, 0, [6, 3]), (9, 2, [6, 5]), (11, 9, [6] * 6), (6, 2, [6]), (1, 0, [1])],
)
def test_a_film_in_pieces_comes_together_as_it_was(
    frames: int, overlap: int, lengths: list[int]
) -> None:
    whole = film(frames)
    pieces, shared = SeedVR2TemporalChunk().run(whole, overlap, manual(21))
    assert [piece["samples"].shape[2] for piece in pieces] == lengths
    assert shared == (0 if len(lengths) == 1 else min(overlap, 5))
    (again,) = SeedVR2TemporalMerge().run(pieces, [shared])
    assert torch.allclose(again["samples"], whole["samples"], atol=1e-6)
    assert again["batch_index"] == [3]


def test_one_piece_fades_into_the_next_along_half_a_hann_window() -> None:
    pieces = [{"samples": torch.full((1, 1, 4, 1, 1), float(n))} for n in (0, 1)]
    (joined,) = SeedVR2TemporalMerge().run(pieces, [3])
    weights = [0, (1 - 2**-0.5) / 2, 0.5, (1 + 2**-0.5) / 2, 1]
    assert joined["samples"].flatten().tolist() == pytest.approx(weights)


def test_pieces_of_different_films_are_refused_by_their_shapes() -> None:
    pieces = [{"samples": torch.zeros(1, 4, 3, 2, sides)} for sides in (2, 3)]
    with pytest.raises(InvalidInput, match="do not fit together"):
        SeedVR2TemporalMerge().run(pieces, [1])


def test_a_latent_of_pictures_is_not_cut_along_time() -> None:
    with pytest.raises(InvalidInput, match="latent of a film"):
        SeedVR2TemporalChunk().run({"samples": torch.zeros(1, 4, 8, 8)}, 0, manual(21))


@pytest.mark.parametrize(("bytes_free", "lengths"), [(10**9, [9]), (2 * 10**5, [2, 2, 2, 2, 1])])
def test_what_is_free_says_how_long_automatic_pieces_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_free: int, lengths: list[int]
) -> None:
    monkeypatch.setattr("nodes.latent_pieces.free_bytes", lambda device: bytes_free)
    with node_context(tmp_path, policy=choose_policy(cpu=True)):
        pieces, _ = SeedVR2TemporalChunk().run(film(9), 0, {"chunking_mode": "auto"})
    assert [piece["samples"].shape[2] for piece in pieces] == lengths


def test_pictures_of_a_whole_film_go_to_the_frames_they_are_of() -> None:
    pictures = torch.arange(1.0, 6.0).view(5, 1, 1, 1).expand(5, 2, 2, 3)
    audio: Sound = {"waveform": torch.arange(7.0).view(1, 1, 7), "sample_rate": 4}
    films, masks, sounds = WanDancerPadKeyframesList().run(pictures, 9, 2, audio)
    assert [f.shape for f in films] == [(9, 2, 2, 3)] * 2
    places = [(0, 0, 1.0), (0, 4, 2.0), (0, 8, 3.0), (1, 4, 4.0), (1, 8, 5.0)]
    assert [films[s][f, 0, 0, 0].item() for s, f, _ in places] == [v for *_, v in places]
    assert [mask[:, 0, 0].nonzero().flatten().tolist() for mask in masks] == [[0, 4, 8], [4, 8]]
    waves = [sound["waveform"].flatten().tolist() for sound in sounds if sound is not None]
    assert waves == [[0, 1, 2, 3], [4, 5, 6, 0]]
    assert [sound["sample_rate"] for sound in sounds if sound is not None] == [4, 4]


def test_segments_without_a_sound_have_none() -> None:
    *_, sounds = WanDancerPadKeyframesList().run(torch.ones(1, 2, 2, 3), 3, 2)
    assert sounds == [None, None]


def test_boxes_follow_a_prompt_of_flux_as_a_table() -> None:
    elements = [
        {"type": "obj", "bbox": [10, 20, 300, 400], "desc": "a dress"},
        {"type": "text", "bbox": [0, 0, 1000, 1000], "text": "ÄTNA", "desc": "a sign"},
        {"type": "text", "bbox": [0, 0, 1, 1], "text": "a", "desc": "the letter a"},
    ]
    (prompt,) = Flux3LayoutPrompt().run("red <obj_1>\n", elements)
    assert prompt.startswith('red <obj_1> [{"id": "obj_1", "bbox": [10, 20, 300, 400], "desc": ')
    rows = json.loads(prompt.removeprefix("red <obj_1> "))
    assert [row["id"] for row in rows] == ["obj_1", "obj_2", "obj_3"]
    assert [row["desc"] for row in rows] == ["a dress", 'a sign "ÄTNA"', "the letter a"]
    assert "ÄTNA" in prompt


def test_without_boxes_the_prompt_stays_as_it_is() -> None:
    assert Flux3LayoutPrompt().run(" red ", []) == (" red ",)


KEEP = {"resolution": "keep resolution"}
POSITIVE = [[torch.ones(1, 4, 8), {"pooled_output": torch.ones(1, 3)}]]


def test_every_picture_of_every_batch_is_a_reference_of_both_sides(tiny: Checkpoint) -> None:
    images = {
        "image0": torch.rand(2, 64, 32, 3, generator=torch.Generator().manual_seed(1)),
        "image1": torch.rand(1, 32, 32, 3, generator=torch.Generator().manual_seed(2)),
    }
    assert isinstance(tiny.vae, VaeHandle)
    positive, negative, empty = ReferenceMultiLatent().run(
        POSITIVE, KEEP, POSITIVE, tiny.vae, images
    )
    expected = [tiny.vae.encode(p[None]) for batch in images.values() for p in batch]
    for side in (positive, negative):
        found = side[0][1]["reference_latents"]
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(empty["samples"], torch.zeros_like(expected[0]))


def test_references_are_scaled_to_a_number_of_pixels_and_keep_their_ratio() -> None:
    resize = {"resolution": "resize", "megapixels": 0.01}
    images = {"image0": torch.rand(1, 20, 80, 3)}
    positive, negative, empty = ReferenceMultiLatent().run(
        POSITIVE, resize, None, PixelSpaceVae(), images
    )
    assert positive[0][1]["reference_latents"][0].shape == (1, 3, 51, 205)
    assert empty["samples"].shape == (1, 3, 51, 205)
    assert not negative[0][0].any()
    assert not negative[0][1]["pooled_output"].any()


def test_without_pictures_the_latent_is_square(tiny: Checkpoint) -> None:
    resize = {"resolution": "resize", "megapixels": 0.25}
    positive, _, empty = ReferenceMultiLatent().run(POSITIVE, resize, POSITIVE)
    assert positive is POSITIVE
    assert empty["samples"].shape == (1, 128, 32, 32)
    *_, empty = ReferenceMultiLatent().run(POSITIVE, resize, POSITIVE, PixelSpaceVae())
    assert empty["samples"].shape == (1, 3, 512, 512)


def test_pictures_need_a_vae() -> None:
    with pytest.raises(PartMissingHere, match="no VAE"):
        ReferenceMultiLatent().run(POSITIVE, KEEP, images={"image0": torch.zeros(1, 8, 8, 3)})
