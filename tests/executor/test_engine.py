"""All parts together, over scripted workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from executor.calls import VALIDATE_INPUTS
from executor.definitions import ClassCheck, NodeDefinition
from executor.engine import Engine, EngineConfig
from executor.folders import Folders
from executor.memory_worker import MemoryWorker
from executor.validation import PromptRejected
from tests.executor.conftest import make_job
from tests.executor.listening import RecordingListener, eventually

SHOW = NodeDefinition(
    name="Show", info={"input": {"required": {}}, "output": [], "output_node": True}
)
CHECKED = NodeDefinition(
    name="Checked",
    info={"input": {"required": {"n": ["INT", {}]}}, "output": [], "output_node": True},
    check=ClassCheck(arguments=["n"]),
)
GRAPH = {"1": {"class_type": "Show", "inputs": {}}}


class Setup:
    """Engines over the same folders, one after another."""

    def __init__(self, base: Path) -> None:
        self.folders = Folders.build(base)
        self.listener = RecordingListener()
        self.workers: list[MemoryWorker] = []
        self.answers: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.definitions = [SHOW, CHECKED]
        self.engines: list[Engine] = []

    async def start(self, *, are_ready: bool = True, **config: Any) -> Engine:
        def make(name: str) -> MemoryWorker:
            self.workers.append(
                MemoryWorker(
                    name,
                    definitions=self.definitions,
                    answers=self.answers,
                    is_ready_at_once=are_ready,
                )
            )
            return self.workers[-1]

        engine = await Engine.start(
            EngineConfig(folders=self.folders, **config), self.listener, make
        )
        self.engines.append(engine)
        return engine


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    setup = Setup(tmp_path)
    yield setup
    for engine in setup.engines:
        await engine.stop()


async def test_a_cold_start_waits_for_the_first_worker(setup: Setup) -> None:
    engine = await setup.start(are_ready=False)
    assert not engine.definitions.are_known
    validating = asyncio.create_task(engine.validate(GRAPH))
    await eventually(lambda: setup.workers[0]._runner is not None)
    setup.workers[0].become_ready()

    assert (await validating).outputs == ("1",)


async def test_a_worker_that_never_comes_is_not_waited_for_forever(setup: Setup) -> None:
    engine = await setup.start(are_ready=False, startup_wait_s=0.01)

    with pytest.raises(TimeoutError):
        await engine.validate(GRAPH)


async def test_a_warm_start_accepts_prompts_before_a_worker_is_ready(setup: Setup) -> None:
    engine = await setup.start()
    await engine.definitions.wait(20)
    await engine.stop()

    engine = await setup.start(are_ready=False)
    assert engine.definitions.are_known
    valid = await engine.validate(GRAPH)
    job = make_job("a", prompt=valid.encode(), outputs_to_execute=valid.outputs)
    await engine.dispatcher.submit(job)
    assert engine.dispatcher.queue_remaining == 1

    await eventually(lambda: setup.workers[-1]._runner is not None)
    setup.workers[-1].become_ready()
    await setup.listener.wait_finished("a")


async def test_the_definitions_of_a_worker_replace_cached_ones(setup: Setup) -> None:
    engine = await setup.start()
    await engine.definitions.wait(20)
    await engine.stop()
    setup.definitions = [SHOW]

    engine = await setup.start()
    await eventually(lambda: "Checked" not in engine.definitions.by_name)

    with pytest.raises(PromptRejected):
        await engine.validate({"1": {"class_type": "Checked", "inputs": {"n": 1}}})


async def test_classes_are_asked_through_a_worker(setup: Setup) -> None:
    setup.answers[VALIDATE_INPUTS] = lambda request: {
        "ok": request["inputs"]["n"] < 5,
        "text": f"{request['class_type']} takes less",
    }
    engine = await setup.start()
    graph = {str(n): {"class_type": "Checked", "inputs": {"n": n}} for n in (3, 7)}

    valid = await engine.validate(graph)

    assert valid.outputs == ("3",)
    (error,) = valid.node_errors["7"]["errors"]
    assert error["type"] == "custom_validation_failed"
    assert error["details"] == "n - Checked takes less"


async def test_a_check_that_the_worker_cannot_make_is_reported(setup: Setup) -> None:
    engine = await setup.start()

    with pytest.raises(PromptRejected) as caught:
        await engine.validate({"1": {"class_type": "Checked", "inputs": {"n": 1}}})

    (error,) = caught.value.node_errors["1"]["errors"]
    assert error["type"] == "exception_during_validation"
    assert "unknown call" in error["details"]


async def test_the_database_lies_in_the_user_folder_unless_told_otherwise(
    setup: Setup, tmp_path: Path
) -> None:
    await setup.start()
    assert (setup.folders.user / "darkroom.db").is_file()

    await setup.start(database_url=f"sqlite:///{tmp_path / 'else.db'}")
    assert (tmp_path / "else.db").is_file()


async def test_a_job_survives_the_engine(setup: Setup) -> None:
    engine = await setup.start(are_ready=False)
    await engine.dispatcher.submit(make_job("a"))
    await engine.stop()
    await engine.stop()

    engine = await setup.start()
    await setup.listener.wait_finished("a")
    assert await engine.store.finished_job("a") is not None
