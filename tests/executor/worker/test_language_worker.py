"""Texts from a language model in the real worker process: a file, a prompt, a preview."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from executor.messages import Event, Finished, Progress, Ready
from executor.worker_config import WorkerConfig
from models.text.language.qwen_vocabulary import qwen_tokenizer
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models.text import language_models as tiny

QUESTION = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with a tiny Qwen3."""
    base = tmp_path_factory.mktemp("base")
    for name in ("models/text_encoders", "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    path = base / "models" / "text_encoders" / "qwen_3_4b.safetensors"
    tiny.write(path, tiny.tensors_of(tiny.qwen3()))
    return base


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


def graph(**changes: Any) -> dict[str, Any]:
    asked = {"prompt": "hello", "max_length": 6, "sampling_mode": "off"} | changes
    return {
        "1": node("CLIPLoader", clip_name="qwen_3_4b.safetensors", type="ltxv"),
        "2": node("TextGenerate", clip=["1", 0], **asked),
        "3": node("PreviewAny", source=["2", 0]),
    }


def shown(events: list[Event]) -> str:
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.succeeded, last.messages[-1]
    (text,) = last.outputs["3"]["text"]
    return str(text)


def test_the_answer_is_what_transformers_writes(client: Client) -> None:
    tokenizer = qwen_tokenizer()
    ids = tokenizer.encode(QUESTION).ids
    expected = tiny.qwen3().generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False)
    events = client.run(graph(), "3")
    assert shown(events) == tokenizer.decode(expected[0, len(ids) :].tolist()).strip()
    told = [event.value for event in events if isinstance(event, Progress)]
    assert told[-1] == 6


SAMPLED = {
    "sampling_mode": "on",
    "sampling_mode.temperature": 2.0,
    "sampling_mode.top_k": 0,
    "sampling_mode.top_p": 1.0,
    "sampling_mode.min_p": 0.0,
    "sampling_mode.repetition_penalty": 1.0,
}


def test_seeds_give_texts(client: Client) -> None:
    def text(seed: int) -> str:
        return shown(client.run(graph(**SAMPLED | {"sampling_mode.seed": seed}), "3"))

    first, second = text(1), text(2)
    assert first != second
    assert text(1) == first


def test_a_picture_for_a_blind_model_is_refused(client: Client) -> None:
    asked = graph(image=["4", 0]) | {
        "4": node("EmptyImage", width=32, height=32, batch_size=1, color=0)
    }
    last = client.run(asked, "3")[-1]
    assert isinstance(last, Finished)
    assert not last.succeeded
    assert "takes no pictures" in str(last.messages[-1])
