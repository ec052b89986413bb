"""What the nodes of MiniMax-H3 give its transformer, against diffusers' modular blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.modular_pipelines.minimax_h3 import encoders as theirs
from diffusers.modular_pipelines.minimax_h3.modular_pipeline import (
    align_num_frames,
    audio_latent_num_frames,
    resolve_canvas_size,
    video_latent_num_frames,
)
from diffusers.modular_pipelines.minimax_h3.references import (
    MiniMaxH3AudioReference,
    MiniMaxH3ImageReference,
    MiniMaxH3VideoReference,
)
from torch import Tensor

from models.audio.vae import AudioVaeHandle
from models.errors import InvalidInput
from models.families.language.qwen3_vl import RETINA
from models.families.language.qwen_pictures import merged
from models.load import vae_of
from models.memory import Policy
from models.text.chunks import Picture
from models.text.handle import TextHandle
from models.weights import Weights
from nodes.sound_files import Sound
from nodes.video_conditioning.minimax_h3 import (
    MiniMaxH3ImageToVideo,
    MiniMaxH3ReferenceToVideo,
    MiniMaxH3SigmaShift,
    empty,
    film_for,
    picture_for,
)
from tests.models import tiny_minimax_h3
from tests.models.audio import tiny_sounds
from tests.models.conftest import policy, tiny, tiny_file
from tests.models.film import test_minimax_h3_vae as films
from tests.models.text import language_models

__all__ = ["policy", "tiny", "tiny_file"]

PROMPT = "A fox <Picture 1> runs"


def chance(seed: int, *shape: int) -> Tensor:
    """Pictures of 256 levels, as files have them."""
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed)) / 255


@pytest.fixture(scope="module")
def model() -> Any:
    return language_models.qwen3_vl(num_hidden_layers=51).eval()


@pytest.fixture(scope="module")
def clip(model: Any, tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> TextHandle:
    path = tmp_path_factory.mktemp("clip") / "qwen3_vl.safetensors"
    tensors = language_models.tensors_of(model)
    return language_models.loaded("minimax", language_models.write(path, tensors), policy)


@pytest.fixture(scope="module")
def sounds(policy: Policy) -> AudioVaeHandle:
    network = tiny_sounds.minimax_h3(latent_channels=32)
    made = vae_of(Weights(path=Path("s"), tensors=tiny_sounds.tensors_of(network)), policy)
    assert isinstance(made, AudioVaeHandle)
    return made


class Words:
    """Our tokenizer, as diffusers' blocks call one."""

    def __init__(self, clip: TextHandle) -> None:
        self.known = language_models.encoder_of(clip).tokenizer.vocabulary

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": self.known.ids(text)}

    def convert_tokens_to_ids(self, mark: str) -> int | None:
        return self.known.mark(mark)

    def create_mm_token_type_ids(self, rows: list[list[int]]) -> list[list[int]]:
        """As Qwen3-VL's processor: 1 for pictures, 2 for films."""
        kinds = {self.known.mark("<|image_pad|>"): 1, self.known.mark("<|video_pad|>"): 2}
        return [[kinds.get(number, 0) for number in row] for row in rows]


def looked_at(pictures: Sequence[Picture]) -> tuple[Tensor, Tensor]:
    found = [RETINA.patches(picture) for picture in pictures]
    return torch.cat([patches for patches, _ in found]), torch.tensor([grid for _, grid in found])


@torch.no_grad()
def expected(
    model: Any, clip: TextHandle, references: list[Any], pictures: list[Tensor], film: Any = None
) -> tuple[Tensor, list[int]]:
    """What diffusers conditions on, and the tags of its tokens."""
    words: Any = Words(clip)
    seen: dict[str, Tensor] = {}
    counts: list[int] = []
    if pictures:
        pixels, grids = looked_at([Picture(frames=picture) for picture in pictures])
        seen = {"pixel_values": pixels, "image_grid_thw": grids}
        counts = [rows * columns // 4 for _, rows, columns in grids.tolist()]
    blocks, seconds = [], []
    if film is not None:
        frames, times = theirs.MiniMaxH3Ref2VATextEncoderStep._sample_video_condition_frames(
            film.numpy(), 24.0, 2.0, 2
        )
        sampled = torch.stack([torch.from_numpy(frame) for frame in frames])
        pixels, grids = looked_at([Picture(frames=sampled, is_video=True)])
        seen |= {"pixel_values_videos": pixels, "video_grid_thw": grids}
        _, rows, columns = merged(tuple(grids[0].tolist()))
        blocks, seconds = [rows * columns], [times]
    ids, tags = theirs.MiniMaxH3Ref2VATextEncoderStep._build_presentation(
        words, PROMPT, references, counts, blocks, seconds
    )
    return theirs.get_qwen3vl_prompt_embeds(model, words, ids, seen, 50), tags


def check(conditioning: Any, wanted: tuple[Tensor, list[int]]) -> dict[str, Any]:
    ((context, options),) = conditioning
    assert list(options["token_tags"]) == wanted[1]
    torch.testing.assert_close(context, wanted[0], atol=1e-3, rtol=1e-3)
    found: dict[str, Any] = options
    return found


def test_a_prompt_alone_is_encoded_as_by_diffusers(model: Any, clip: TextHandle) -> None:
    unused: Any = None
    conditioning, latent = MiniMaxH3ImageToVideo().run(clip, unused, PROMPT, 96, 64, 22)
    assert check(conditioning, expected(model, clip, [], []))["given"] == ()
    assert [tuple(part.shape) for part in latent["samples"].parts] == [
        (1, 24, 7, 4, 6), (1, 64, 37),
    ]  # fmt: skip


def test_frames_are_seen_by_both_networks(model: Any, clip: TextHandle, policy: Policy) -> None:
    vae = films.loaded(films.tiny(), policy)
    first, last = chance(1, 2, 64, 96, 4), chance(2, 1, 96, 96, 3)
    conditioning, _ = MiniMaxH3ImageToVideo().run(clip, vae, PROMPT, 96, 64, 22, first, last)
    pictures = [first[:1, ..., :3], last[:, 16:80]]
    references = [MiniMaxH3ImageReference(picture) for picture in pictures]
    options = check(conditioning, expected(model, clip, references, pictures))
    assert [given.keyframe for given in options["given"]] == ["first", "last"]
    for given, picture in zip(options["given"], pictures, strict=True):
        assert torch.equal(given.film, vae.encode(picture))


def test_references_have_numbers_and_order(
    model: Any,
    clip: TextHandle,
    policy: Policy,
    sounds: AudioVaeHandle,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nodes.video_conditioning.minimax_h3._SHORT_SIDE", 64)
    vae = films.loaded(films.tiny(), policy)
    picture, film = chance(1, 1, 64, 96, 3), chance(2, 50, 64, 64, 3)
    tone: Sound = {"waveform": tiny_sounds.tone(0.02, 32000), "sample_rate": 32000}
    conditioning, _ = MiniMaxH3ReferenceToVideo().run(
        clip, PROMPT, 96, 64, 22 + 17, "match", vae, sounds,
        {"ref_image_0": picture}, {"ref_video_1": film},
        {"ref_video_audio_1": tone}, {"ref_audio_0": tone},
    )  # fmt: skip
    references = [
        MiniMaxH3ImageReference(picture),
        MiniMaxH3VideoReference(film, audio=torch.zeros(2, 1)),
        MiniMaxH3AudioReference(torch.zeros(2, 1)),
    ]
    wanted = expected(model, clip, references, [picture], film[:39])
    first, second, third = check(conditioning, wanted)["given"]
    assert torch.equal(first.film, vae.encode(picture)) and first.sound is None
    assert torch.equal(second.film, vae.encode(film[:39]))
    assert second.film.shape[2] == 12
    heard = sounds.encode_sound(tone["waveform"])
    assert torch.equal(second.sound, heard) and torch.equal(third.sound, heard)
    assert third.film is None


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (640, 480), (300, 1000), (64, 64)])
def test_films_to_refer_to_have_the_sides_of_diffusers(width: int, height: int) -> None:
    film = torch.zeros(1, 1, 1, 3).expand(13, height, width, 3)
    wanted = resolve_canvas_size(width, height, 32, 768, 768 * 1344)
    assert film_for(film, 13).shape == (13, *wanted, 3)


def test_pictures_to_refer_to_are_as_large_as_asked() -> None:
    picture = torch.zeros(1, 100, 150, 3)
    assert picture_for(picture, 96 * 64).shape == (1, 64, 96, 3)
    assert picture_for(picture, None).shape == (1, 2048, 3072, 3)


@pytest.mark.parametrize("length", [5, 6, 22, 100, 124])
def test_latents_last_as_long_as_in_diffusers(length: int) -> None:
    frames = align_num_frames(length, 17, 5)
    film, sound = empty(64, 32, length)["samples"].parts
    assert film.shape == (1, 24, video_latent_num_frames(frames, 17, 5), 2, 4)
    assert sound.shape == (1, 64, audio_latent_num_frames(frames))


def test_shifts_are_those_of_films_and_sounds(tiny: Any) -> None:
    model = tiny_minimax_h3.handle(tiny_minimax_h3.transformer())
    base: Any = model.model
    (made,) = MiniMaxH3SigmaShift().run(model, 6.0, 1.5)
    sampling = made.get_model_object("model_sampling")
    assert (sampling.shift, base.sound_ratio(sampling)) == (6.0, 4.0)
    other: Any = SimpleNamespace(model=object())
    with pytest.raises(InvalidInput, match="no films with sounds"):
        MiniMaxH3SigmaShift().run(other, 6.0, 1.5)


def test_what_does_not_fit_is_said(clip: TextHandle, tmp_path: Path, policy: Policy) -> None:
    node = MiniMaxH3ReferenceToVideo()
    with pytest.raises(InvalidInput, match="needs a prompt"):
        node.run(clip, "", 96, 64, 22, "match")
    with pytest.raises(InvalidInput, match="13 frames or more"):
        node.run(
            clip, "a", 96, 64, 22, "match", ref_videos={"ref_video_0": chance(1, 5, 64, 64, 3)}
        )
    with pytest.raises(InvalidInput, match="within 1:4 and 4:1"):
        film_for(torch.zeros(13, 10, 50, 3), 13)
    path = language_models.write(
        tmp_path / "q.safetensors", language_models.tensors_of(language_models.qwen3())
    )
    other = language_models.loaded("lumina2", path, policy)
    with pytest.raises(InvalidInput, match="asks Qwen3-VL, not 'qwen3'"):
        node.run(other, "a", 96, 64, 22, "match")
    few = language_models.write(
        tmp_path / "v.safetensors", language_models.tensors_of(language_models.qwen3_vl())
    )
    with pytest.raises(InvalidInput, match="layers, not"):
        node.run(language_models.loaded("minimax", few, policy), "a", 96, 64, 22, "match")
