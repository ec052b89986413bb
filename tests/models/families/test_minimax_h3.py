"""MiniMax-H3 agrees with diffusers' own evaluation of the same weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import MiniMaxH3Scheduler
from diffusers.modular_pipelines.minimax_h3 import before_denoise as theirs
from diffusers.modular_pipelines.minimax_h3.references import (
    MiniMaxH3AudioReference,
    MiniMaxH3ImageReference,
    MiniMaxH3VideoReference,
)
from torch import Tensor

from models.errors import InvalidInput, UnsupportedLayout
from models.families.minimax_h3 import FAMILY
from models.families.minimax_h3_transformer import build_transformer
from models.joint_latent import JointLatent
from models.load import recognise
from models.lora import Lora, apply_lora, group_tensors
from models.protocol.custom import sample_with_guider
from models.protocol.guiders import BasicGuider
from models.protocol.joint import out_of_row
from models.protocol.k_samplers import sampler_object
from models.protocol.minimax_h3_layout import Given
from models.protocol.noise_objects import NoNoise, RandomNoise
from models.protocol.reparametrised import film_and_sound_flow
from models.protocol.sampling import fitted, sample_latent
from models.sampling.noise import prepare_noise
from tests.models.tiny_minimax_h3 import (
    FILM,
    PROMPT,
    SOUND,
    handle,
    normal,
    transformer,
    weights,
)

TAGS = (1, 1, 0, 0, 0, 1, 1)
CONTEXT = normal(2, 1, len(TAGS), PROMPT)
SHAPE = (7, 4, 6)  # frames, height and width of a latent film
LENGTH = 9  # of a latent sound
SHAPES = ((1, FILM, *SHAPE), (1, SOUND, LENGTH))
TIMES = {"film": 0.3, "sound": 0.6}
SAID = {"patch_size": (1, 2, 2), "audio_channels": 2, "audio_tag": 2, "video_tag": 0}
TARGET = {
    "num_latent_frames": SHAPE[0], "latent_height": SHAPE[1], "latent_width": SHAPE[2],
    "num_audio_latents": LENGTH,
}  # fmt: skip


def sound_rows(sound: Tensor) -> Tensor:
    """Sides one after another, as diffusers' blocks have them."""
    return sound.reshape(2, SOUND // 2, -1).transpose(1, 2).reshape(-1, SOUND // 2)


def film_rows(film: Tensor) -> Tensor:
    rows: Tensor = theirs.patchify_video_latents(film, (1, 2, 2))
    return rows


@torch.no_grad()
def expected(module: Any, found: Any, films: list[Tensor], sounds: list[Tensor]) -> tuple[Any, Any]:
    """What diffusers' network says of a film and a sound, the last ones, in their rows."""
    positions, tags, video, audio, text, given, given_sounds = found
    times, numbers = theirs.MiniMaxH3SetTimestepsStep.build_row_timesteps(
        video, audio, given, given_sounds, len(text), TIMES["film"], TIMES["sound"], 0.999, 1.0
    )
    made, made_sound = module(
        torch.cat([film_rows(film) for film in films])[None],
        torch.cat([sound_rows(sound) for sound in sounds])[None],
        CONTEXT,
        times, numbers, tags, positions, video, audio, text, return_dict=False,
    )  # fmt: skip
    return made[0, given:], made_sound[0, given_sounds:]


def ours(module: Any, film: Tensor, sound: Tensor, given: tuple[Given, ...]) -> tuple[Any, Any]:
    network = handle(module).model.diffusion_model
    row = network(
        film, torch.tensor([TIMES["film"]]), CONTEXT,
        sound=sound, sound_times=torch.tensor([TIMES["sound"]]), token_tags=TAGS, given=given,
    )  # fmt: skip
    made, made_sound = out_of_row(row, SHAPES)
    return film_rows(made), sound_rows(made_sound)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
@pytest.mark.parametrize("is_diffusers", [True, False])
def test_a_transformer_is_recognised_and_built(prefix: str, is_diffusers: bool) -> None:
    module = transformer(num_layers=3)
    found = weights(module, prefix, is_diffusers=is_diffusers)
    assert recognise(found) is FAMILY
    network = build_transformer(found, torch.float32)
    assert network is not None
    made = network.module.config
    assert {k: made[k] for k in made if k[0] != "_"} == {
        k: module.config[k] for k in made if k[0] != "_"
    }
    wanted = module.state_dict()
    assert all(torch.equal(v, wanted[k]) for k, v in network.module.state_dict().items())


def test_pruned_files_are_refused_by_name() -> None:
    found = weights(transformer())
    pruned = replace(found, tensors=dict(found.tensors) | {"adaln_t_table": torch.zeros(4, 12)})
    with pytest.raises(UnsupportedLayout, match="pruned"):
        build_transformer(pruned, torch.float32)


@pytest.mark.parametrize("anchors", [(), ("first",), ("last",), ("first", "last")])
def test_a_film_between_keyframes_is_what_diffusers_makes(anchors: tuple[str, ...]) -> None:
    module = transformer()
    film, sound = normal(3, *SHAPES[0]), normal(4, *SHAPES[1])
    frames = [normal(5 + n, 1, FILM, 1, *SHAPE[1:]) for n in range(len(anchors))]
    found = theirs.MiniMaxH3PrepareLayoutStep.build_packed_sequence(
        torch.tensor(TAGS), **TARGET, **SAID, keyframe_anchors=anchors
    )
    given = tuple(Given(film=f, keyframe=a) for f, a in zip(frames, anchors, strict=True))
    made = ours(module, film, sound, given)
    for one, other in zip(made, expected(module, found, [*frames, film], [sound]), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_what_is_referred_to_is_seen_as_diffusers_sees_it() -> None:
    module = transformer()
    film, sound = normal(3, *SHAPES[0]), normal(4, *SHAPES[1])
    picture, other = normal(5, 1, FILM, 1, 2, 8), normal(6, 1, FILM, 7, 6, 4)
    silent = normal(7, 1, FILM, 2, 4, 4)
    its_sound, voice = normal(8, 1, SOUND, 31), normal(9, 1, SOUND, 5)
    references = [
        MiniMaxH3ImageReference(picture),
        MiniMaxH3VideoReference(other, audio=its_sound),
        MiniMaxH3AudioReference(voice),
        MiniMaxH3VideoReference(silent),
    ]
    given = (
        Given(film=picture), Given(film=other, sound=its_sound), Given(sound=voice),
        Given(film=silent),
    )  # fmt: skip
    found = theirs.MiniMaxH3Ref2VAPrepareLayoutStep.build_ref2va_packed_sequence(
        torch.tensor(TAGS),
        references,
        [picture, other, silent],
        [sound_rows(its_sound), sound_rows(voice)],
        **TARGET,
        **SAID,
    )
    wanted = expected(module, found, [picture, other, silent, film], [its_sound, voice, sound])
    for one, another in zip(ours(module, film, sound, given), wanted, strict=True):
        assert torch.allclose(one, another, atol=1e-5)


@torch.no_grad()
def loop(module: Any, noise: tuple[Tensor, Tensor], steps: int, shifts: tuple[float, float]) -> Any:
    """diffusers' denoising: a schedule for the film, and one for the sound."""
    schedulers = [MiniMaxH3Scheduler(shift=shift) for shift in shifts]
    for scheduler in schedulers:
        scheduler.set_timesteps(steps + 1)
    positions, tags, video, audio, text, *_ = (
        theirs.MiniMaxH3PrepareLayoutStep.build_packed_sequence(
            torch.tensor(TAGS), **TARGET, **SAID
        )
    )
    rows = [film_rows(noise[0]), sound_rows(noise[1])]
    for pair in zip(*(scheduler.timesteps for scheduler in schedulers), strict=True):
        times, numbers = theirs.MiniMaxH3SetTimestepsStep.build_row_timesteps(
            video, audio, 0, 0, len(text), float(pair[0]), float(pair[1]), 1.0, 1.0
        )
        said = module(
            rows[0][None], rows[1][None], CONTEXT, times, numbers, tags, positions, video, audio,
            text, return_dict=False,
        )  # fmt: skip
        rows = [
            scheduler.step(output[0], time, row, return_dict=False)[0]
            for scheduler, output, time, row in zip(schedulers, said, pair, rows, strict=True)
        ]
    return rows, schedulers[0].sigmas


@pytest.mark.parametrize("shifts", [(12.0, 3.0), (5.0, 7.0), (4.0, 4.0)])
def test_film_and_sound_go_their_own_ways_as_in_diffusers(shifts: tuple[float, float]) -> None:
    module = transformer()
    model = film_and_sound_flow(handle(module), *shifts)
    empty: Any = JointLatent(tuple(torch.zeros(shape) for shape in SHAPES))
    noise: Any = prepare_noise(empty, 5)
    wanted, sigmas = loop(module, noise.parts, 6, shifts)
    guider = BasicGuider(model)
    guider.set_conds([[CONTEXT, {"token_tags": TAGS}]])
    told: list[Any] = []
    made: Any = guider.sample(
        noise, empty, sampler_object("euler"), sigmas, callback=lambda *said: told.append(said[1])
    )
    film, sound = made.parts
    assert film.shape == SHAPES[0] and sound.shape == SHAPES[1]
    assert torch.allclose(film_rows(film), wanted[0], atol=1e-4)
    assert torch.allclose(sound_rows(sound), wanted[1], atol=1e-4)
    assert len(told) == 6
    assert torch.allclose(told[-1].parts[1], sound, atol=1e-5)


def test_a_family_alone_has_the_published_shifts() -> None:
    model = handle(transformer())
    base: Any = model.model
    assert base.sound_ratio(model.get_model_object("model_sampling")) == 4.0
    wanted = MiniMaxH3Scheduler()
    wanted.set_timesteps(1001)
    assert torch.allclose(model.schedule.sigmas.flip(0), wanted.sigmas[:-1], atol=1e-6)


def run(model: Any, latent: dict[str, Any], sampler: str = "res_multistep", **changes: Any) -> Any:
    options: dict[str, Any] = {
        "steps": 3, "cfg": 1.0, "sampler_name": sampler, "scheduler": "simple",
        "positive": [[CONTEXT, {"token_tags": TAGS}]], "negative": [[CONTEXT, {}]],
    }  # fmt: skip
    return sample_latent(model, latent, seed=3, **options | changes)["samples"]


def test_a_run_of_parts_gives_the_last_prediction_of_both() -> None:
    model = handle(transformer())
    guider = BasicGuider(model)
    guider.set_conds([[CONTEXT, {"token_tags": TAGS}]])
    latent = {"samples": JointLatent(tuple(torch.zeros(shape) for shape in SHAPES))}
    sigmas = torch.tensor([1.0, 0.7, 0.0])
    made, clean = sample_with_guider(
        guider, RandomNoise(3), sampler_object("euler"), sigmas, latent, lambda *said: None
    )
    for one, other in zip(made["samples"].parts, clean["samples"].parts, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    unchanged, _ = sample_with_guider(
        guider, NoNoise(), sampler_object("euler"), sigmas[:0], latent, lambda *said: None
    )
    assert torch.equal(unchanged["samples"].parts[0], latent["samples"].parts[0])


def test_a_mask_keeps_parts_of_a_film_and_a_whole_sound() -> None:
    start = JointLatent((normal(1, *SHAPES[0]), normal(2, *SHAPES[1])))
    kept = torch.ones(1, 1, SHAPE[0], 1, 1)
    kept[:, :, :2] = 0
    latent = {"samples": start, "noise_mask": JointLatent((kept, torch.zeros(1, 1, LENGTH)))}
    film, sound = run(handle(transformer()), latent).parts
    assert torch.allclose(film[:, :, :2], start.parts[0][:, :, :2], atol=1e-5)
    assert not torch.allclose(film[:, :, 2:], start.parts[0][:, :, 2:], atol=0.1)
    assert torch.allclose(sound, start.parts[1], atol=1e-5)


def test_pictures_that_are_given_change_the_film_and_have_the_noise_of_the_seed() -> None:
    model = handle(transformer())
    latent = {"samples": JointLatent(tuple(torch.zeros(shape) for shape in SHAPES))}
    given = (Given(film=normal(8, 1, FILM, 1, *SHAPE[1:]), keyframe="first"),)
    prompt = [[CONTEXT, {"token_tags": TAGS, "given": given}]]
    plain, once, again = (
        run(model, latent), run(model, latent, positive=prompt), run(model, latent, positive=prompt)
    )  # fmt: skip
    assert torch.equal(once.parts[0], again.parts[0])
    assert not torch.allclose(plain.parts[0], once.parts[0], atol=1e-3)


def test_two_of_a_batch_are_made_together() -> None:
    model = handle(transformer())
    shapes = [(2, *shape[1:]) for shape in SHAPES]
    film, sound = run(
        model, {"samples": JointLatent(tuple(torch.zeros(shape) for shape in shapes))}
    ).parts
    assert film.shape == shapes[0] and sound.shape == shapes[1]
    assert not torch.allclose(film[0], film[1], atol=0.1)


@pytest.mark.parametrize("name", ["diffusion_model.blocks.0.attn.qkv_proj.lora_{}.weight"])
def test_lora_files_fit(name: str) -> None:
    found = {name.format("B"): normal(1, 96, 2), name.format("A"): normal(2, 2, 20)}
    lora = Lora(path=weights(transformer()).path, groups=group_tensors(found))
    patched, _ = apply_lora(
        lora, handle(transformer()), None, strength_model=1.0, strength_text=0.0
    )
    assert set(patched.patches) == {"blocks.0.attn.qkv_proj.weight"}


def test_what_does_not_fit_is_said() -> None:
    model = handle(transformer())
    film, sound = (torch.zeros(shape) for shape in SHAPES)
    with pytest.raises(InvalidInput, match="not of 24 and 8"):
        fitted(model, {"samples": JointLatent((film, sound[:, :8]))})
    with pytest.raises(InvalidInput, match="multiples of 32"):
        fitted(model, {"samples": JointLatent((film[..., :5], sound))})
    with pytest.raises(InvalidInput, match="begin with the latent of MiniMaxH3ImageToVideo"):
        run(model, {"samples": film})
    joint = {"samples": JointLatent((film, sound))}
    with pytest.raises(InvalidInput, match="5 channels and this model takes 24"):
        run(model, joint, positive=[[normal(1, 1, 3, 5), {}]])
    with pytest.raises(InvalidInput, match="7 are told apart"):
        run(model, joint, positive=[[normal(1, 1, 3, PROMPT), {"token_tags": TAGS}]])
    given = (Given(sound=normal(1, 1, 5, 4)),)
    with pytest.raises(InvalidInput, match="hears sounds of 64"):
        run(model, joint, positive=[[CONTEXT, {"token_tags": TAGS, "given": given}]])
