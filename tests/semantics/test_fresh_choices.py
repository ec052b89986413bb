"""Choices that node packs list from folders are those of the moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.calls import DESCRIBE
from executor.definitions import NodeDefinition
from executor.engine import Engine, EngineConfig
from executor.folders import Folders
from executor.memory_worker import MemoryWorker
from executor.validation import PromptRejected
from executor.worker.describe import describe_all
from executor.worker_interface import CallFailed
from server.catalogue import Catalogue
from tests.executor.listening import RecordingListener
from tests.executor.worker.harness import Show, node


class Picks(Show):
    """A pack's class: offers the files of a folder."""

    RELATIVE_PYTHON_MODULE = "custom_nodes.pack"
    folder: Path
    asked = 0

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The names, as they are now."""
        cls.asked += 1
        return {"required": {"value": (sorted(path.name for path in cls.folder.iterdir()),)}}


class Setting:
    """An engine whose worker has such a class."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / "things"
        self.folder.mkdir()
        (self.folder / "a").touch()
        self.is_answering = True

        class OfThisTest(Picks):
            folder = self.folder

        self.picks = OfThisTest

    async def _describe(self, arguments: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        if not self.is_answering:
            raise CallFailed("the worker has other things to do")
        assert arguments == {"names": ["Picks"]}
        return [msgspec.to_builtins(x) for x in describe_all({"Picks": self.picks}, {})]

    async def start(self) -> Engine:
        """The engine, with a worker that is ready."""
        published = msgspec.msgpack.encode(describe_all({"Picks": self.picks}, {}))
        definitions = msgspec.msgpack.decode(published, type=list[NodeDefinition])
        engine = await Engine.start(
            EngineConfig(folders=Folders.build(self.base), startup_wait_s=5),
            RecordingListener(),
            lambda name: MemoryWorker(
                name, definitions=definitions, answers={DESCRIBE: self._describe}
            ),
        )
        await engine.definitions.wait(5)
        await engine.pool.wait_ready(5)
        return engine


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[tuple[Setting, Engine]]:
    """The class and the engine."""
    setting = Setting(tmp_path)
    engine = await setting.start()
    yield setting, engine
    await engine.stop()


async def test_a_choice_that_came_later_is_accepted(setting: tuple[Setting, Engine]) -> None:
    folder, engine = setting[0].folder, setting[1]
    graph = {"1": node("Picks", value="b")}
    with pytest.raises(PromptRejected):
        await engine.validate(graph)
    (folder / "b").touch()
    assert (await engine.validate(graph)).outputs == ("1",)
    both = graph | {"2": node("Picks", value="c")}
    assert (await engine.validate(both)).outputs == ("1",)
    (folder / "c").touch()
    assert (await engine.validate(both)).outputs == ("1", "2")


async def test_good_choices_cost_no_question(setting: tuple[Setting, Engine]) -> None:
    before = setting[0].picks.asked
    await setting[1].validate({"1": node("Picks", value="a")})
    assert setting[0].picks.asked == before


async def test_clients_see_the_choices_of_the_moment(setting: tuple[Setting, Engine]) -> None:
    engine = setting[1]
    catalogue = Catalogue(
        engine.definitions, engine.options, wait_s=5, refresh=engine.lists.refresh
    )
    assert b'["a"]' in await catalogue.one("Picks")
    (setting[0].folder / "b").touch()
    bodies = await asyncio.gather(*(catalogue.all() for _ in range(10)))
    for body in bodies:
        shown = msgspec.json.decode(body.text)["Picks"]
        assert shown["input"]["required"]["value"] == [["a", "b"]]
    assert setting[0].picks.asked < 6


async def test_a_worker_that_does_not_answer_leaves_what_is_known(
    setting: tuple[Setting, Engine],
) -> None:
    setting[0].is_answering = False
    (setting[0].folder / "b").touch()
    catalogue = Catalogue(
        setting[1].definitions, setting[1].options, wait_s=5, refresh=setting[1].lists.refresh
    )
    assert b'["a"]' in await catalogue.one("Picks")
    with pytest.raises(PromptRejected):
        await setting[1].validate({"1": node("Picks", value="b")})
