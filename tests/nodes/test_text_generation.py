"""Nodes that have language models write texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.memory import Policy
from models.text.families import SD1
from models.text.handle import TextHandle
from models.text.language import asking
from models.text.language.asking import Answer, Question
from models.text.language.choosing import Sampling
from nodes.context import Interrupted
from nodes.text_generation import TextGenerate, TextGenerateLTX2Prompt
from tests.models.conftest import policy
from tests.models.text import encoders
from tests.models.text import language_models as tiny
from tests.nodes.context import RecordingReporter, node_context

__all__ = ["policy"]

OFF = {"sampling_mode": "off"}


@pytest.fixture
def reporter(tmp_path: Path, policy: Policy) -> Iterator[RecordingReporter]:
    found = RecordingReporter()
    with node_context(tmp_path / "base", policy=policy, reporter=found):
        yield found


@pytest.fixture
def gemma(tmp_path: Path, policy: Policy) -> TextHandle:
    pieces = tiny.gemma_pieces(tmp_path / "pieces")
    tensors = tiny.tensors_of(tiny.gemma3()) | {"spiece_model": pieces}
    return tiny.loaded("ltxv", tiny.write(tmp_path / "gemma.safetensors", tensors), policy)


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[Question]:
    """What is asked, of a model that has thought before it says its question."""
    asked: list[Question] = []

    def ask(handle: TextHandle, question: Question, **_: Any) -> Answer:
        asked.append(question)
        return Answer(
            text="  " if question.thinks else "\u201c1. A cat\u2019s hat\u201d", thoughts="hm"
        )

    monkeypatch.setattr("nodes.text_generation.ask", ask)
    return asked


def test_tokens_are_told_as_they_come(gemma: TextHandle, reporter: RecordingReporter) -> None:
    text, thoughts = TextGenerate().run_flat(clip=gemma, prompt="hi", max_length=4, **OFF)
    assert reporter.reports == [("1", count, 4) for count in (1, 2, 3, 4)]
    assert text
    assert not thoughts


def test_an_interruption_ends_it_between_tokens(
    gemma: TextHandle, reporter: RecordingReporter
) -> None:
    reporter.interrupted = True
    with pytest.raises(Interrupted):
        TextGenerate().run_flat(clip=gemma, prompt="hi", max_length=4, **OFF)
    assert not reporter.reports


def test_without_template_the_prompt_is_continued(
    gemma: TextHandle, reporter: RecordingReporter
) -> None:
    found = TextGenerate().run_flat(
        clip=gemma, prompt="the cat", max_length=5, use_default_template=False, **OFF
    )
    vocabulary = tiny.encoder_of(gemma).tokenizer.vocabulary
    ids = vocabulary.ids("<bos>the cat")
    expected = tiny.gemma3().generate(torch.tensor([ids]), max_new_tokens=5, do_sample=False)
    assert found[0] == vocabulary.text(expected[0, len(ids) :].tolist()).strip()


def picture(value: float, batch: int = 1) -> Tensor:
    return torch.full((batch, 8, 8, 3), value)


def test_pictures_come_alone_in_batches_and_in_groups(
    gemma: TextHandle, reporter: RecordingReporter, questions: list[Question]
) -> None:
    given = {
        "image": picture(0.1, 2),
        "images.image_1": picture(0.4),
        "images.image_0": picture(0.3),
    }
    video = picture(0.5, 4)
    TextGenerate().run_flat(clip=gemma, prompt="", max_length=4, video=video, **given, **OFF)
    (question,) = questions
    assert [float(p.frames.max()) for p in question.pictures] == pytest.approx(
        [0.1, 0.1, 0.3, 0.4, 0.5]
    )
    assert [p.is_video for p in question.pictures] == [False] * 4 + [True]


def test_what_is_said_of_sampling_is_done(
    gemma: TextHandle, reporter: RecordingReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def ask(handle: TextHandle, question: Question, *, sampling: Any, **_: Any) -> Answer:
        given.append(sampling)
        return Answer(text="", thoughts="")

    monkeypatch.setattr("nodes.text_generation.ask", ask)
    values = {
        "temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.2,
        "presence_penalty": 0.3, "seed": 9,
    }  # fmt: skip
    flat = {f"sampling_mode.{name}": value for name, value in values.items()}
    for mode in ("on", "off"):
        TextGenerate().run_flat(clip=gemma, prompt="", max_length=4, sampling_mode=mode, **flat)
    assert given == [Sampling(**values), None]  # type: ignore[arg-type]


def test_sound_is_refused(gemma: TextHandle, reporter: RecordingReporter) -> None:
    with pytest.raises(InvalidInput, match="sound"):
        TextGenerate().run_flat(clip=gemma, prompt="", max_length=4, audio={}, **OFF)


def test_other_text_encoders_are_refused(reporter: RecordingReporter, policy: Policy) -> None:
    clip = encoders.handle(SD1, policy, l=encoders.clip())
    with pytest.raises(InvalidInput, match="load a language model"):
        TextGenerate().run_flat(clip=clip, prompt="", max_length=4, **OFF)


def test_prompts_for_ltx2_are_written_as_its_authors_have_it(
    gemma: TextHandle, reporter: RecordingReporter, questions: list[Question]
) -> None:
    from diffusers.pipelines.ltx2 import utils

    text, thoughts = TextGenerateLTX2Prompt().run_flat(
        clip=gemma, prompt="a cat", max_length=4, **OFF
    )
    TextGenerateLTX2Prompt().run_flat(
        clip=gemma, prompt="a cat", max_length=4, image=picture(0.2), **OFF
    )
    assert [question.prompt for question in questions] == [
        "user prompt: a cat",
        "User Raw Input Prompt: a cat.",
    ]
    assert [question.system for question in questions] == [
        utils.T2V_DEFAULT_SYSTEM_PROMPT,
        utils.I2V_DEFAULT_SYSTEM_PROMPT,
    ]
    assert (text, thoughts) == ("A cat's hat\"", "hm")  # as clean_response has it


def test_an_empty_prompt_for_ltx2_is_the_prompt_itself(
    gemma: TextHandle, reporter: RecordingReporter, questions: list[Question]
) -> None:
    text, _ = TextGenerateLTX2Prompt().run_flat(
        clip=gemma, prompt="a cat", max_length=4, thinking=True, **OFF
    )
    assert text == "a cat"


def test_questions_are_asked_in_the_template(gemma: TextHandle) -> None:
    question = Question(prompt="hi", system="Be brief.")
    answer = asking.ask(gemma, question, most=3)
    vocabulary = tiny.encoder_of(gemma).tokenizer.vocabulary
    ids = vocabulary.ids(
        "<bos><start_of_turn>user\nBe brief.\n\nhi<end_of_turn>\n<start_of_turn>model\n"
    )
    expected = tiny.gemma3().generate(torch.tensor([ids]), max_new_tokens=3, do_sample=False)
    assert answer.text == vocabulary.text(expected[0, len(ids) :].tolist()).strip()
