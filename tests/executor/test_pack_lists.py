"""Lists of node packs that are asked for again, and kinds of folders that packs add."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec

from executor.definition_cache import Definitions, Published
from executor.definitions import NodeDefinition
from executor.folders import Folders
from executor.kinds import KindTable, ModelKind, changed_kinds, kinds_of
from executor.pack_lists import PackLists, names_what_is_not_listed
from executor.pool import Pool
from executor.worker_interface import CallFailed


def definition(module: str, choices: list[str], **more: Any) -> NodeDefinition:
    required = {"file": [choices], "n": ["INT", {}]}
    info = {"input": {"required": required}, "python_module": module, "output_node": True}
    return NodeDefinition(name="Lists", info=info | {"output": []}, **more)


class Slot:
    is_ready = True


class WorkerPool:
    """Answers with one definition, or fails."""

    def __init__(self, answer: NodeDefinition | None) -> None:
        self.slots = [Slot()]
        self.answer = answer
        self.asked: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def call(
        self, method: str, arguments: dict[str, Any], *, wait_s: float, answer_s: float
    ) -> Any:
        self.asked.append(arguments["names"])
        await self.may_answer.wait()
        if self.answer is None:
            raise CallFailed("no")
        return [msgspec.to_builtins(self.answer)]


def lists(known: NodeDefinition, answer: NodeDefinition | None) -> tuple[PackLists, WorkerPool]:
    definitions = Definitions()
    definitions.replace(Published(fingerprint="f", definitions=[known]))
    pool = WorkerPool(answer)
    found = PackLists(definitions, cast(Pool, pool))
    return found, pool


async def test_a_list_of_a_pack_is_asked_for_and_taken_over() -> None:
    old = definition("custom_nodes.p", ["a"], equal_types={"X": ["*"]})
    found, _ = lists(old, definition("custom_nodes.p", ["a", "b"]))
    assert await found.refresh(5)
    now = found._definitions.by_name["Lists"]
    assert now.info["input"]["required"]["file"] == [["a", "b"]]
    assert now.equal_types == {"X": ["*"]}
    assert not await found.refresh(5)


async def test_nobody_is_asked_about_our_own_classes_or_lists_that_the_server_makes() -> None:
    for known in (
        definition("nodes", ["a"]),
        definition("custom_nodes.p", ["a"], file_options={"file": "loras"}),
    ):
        found, pool = lists(known, None)
        assert not await found.refresh(5)
        assert pool.asked == []


async def test_a_worker_that_is_not_ready_or_fails_changes_nothing() -> None:
    known = definition("custom_nodes.p", ["a"])
    found, pool = lists(known, None)
    assert not await found.refresh(5)
    pool.slots[0].is_ready = False
    assert not await found.refresh(5)
    assert len(pool.asked) == 1


async def test_many_who_ask_share_one_question_and_do_not_wait_for_ever() -> None:
    found, pool = lists(definition("custom_nodes.p", ["a"]), definition("custom_nodes.p", ["b"]))
    pool.may_answer.clear()
    assert not any(await asyncio.gather(found.refresh(0.01), found.refresh(0.01)))
    assert len(pool.asked) == 1
    pool.may_answer.set()
    assert await found.refresh(5)


def test_only_values_that_are_not_listed_are_worth_asking() -> None:
    def errors(kind: str) -> dict[str, Any]:
        return {"1": {"errors": [{"type": kind}]}}

    assert names_what_is_not_listed(errors("value_not_in_list"))
    assert not names_what_is_not_listed(errors("value_bigger_than_max"))
    assert not names_what_is_not_listed({})


def test_kinds_that_packs_add_stand_over_the_configured_ones_until_others_come(
    tmp_path: Path,
) -> None:
    folders = Folders.build(tmp_path)
    usual = kinds_of(folders)
    table = KindTable(folders)
    added = ModelKind(folders=[str(tmp_path)], extensions=[".x"])
    table.put({"new": added, "loras": added})
    assert changed_kinds(usual, folders) == {"loras": added, "new": added}
    (tmp_path / "a.x").touch()
    assert folders.filename_list("new") == ["a.x"]
    table.put({})
    assert changed_kinds(usual, folders) == {}
    assert "new" not in folders.models
