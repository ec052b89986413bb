"""Node definitions survive the worker and the server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from executor.definition_cache import (
    CACHE_NAME,
    Definitions,
    Published,
    load_cached,
    save_cached,
)
from executor.definitions import ClassCheck, NodeDefinition
from executor.packs import LoadedPacks, PackReport

DEFINITION = NodeDefinition(
    name="Load",
    info={"input": {"required": {"name": [[], {}]}}, "output": ["IMAGE"], "output_node": False},
    check=ClassCheck(arguments=["name"], takes_all=True),
    file_options={"name": "checkpoints"},
)


PACKS = LoadedPacks(reports=[PackReport(name="a", path="/a", error="no")], has_prompt_hooks=True)


def published(*definitions: NodeDefinition, fingerprint: str = "f1") -> Published:
    return Published(fingerprint=fingerprint, definitions=list(definitions), packs=PACKS)


def test_what_was_saved_is_loaded_under_its_fingerprint_only(tmp_path: Path) -> None:
    save_cached(tmp_path / "deep", published(DEFINITION))

    assert load_cached(tmp_path / "deep", "f1") == published(DEFINITION)
    assert load_cached(tmp_path / "deep", "f2") is None
    assert [file.name for file in (tmp_path / "deep").iterdir()] == [CACHE_NAME]


def test_nothing_is_loaded_where_nothing_was_saved(tmp_path: Path) -> None:
    assert load_cached(tmp_path, "f1") is None


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x82", b"\x80"])
def test_a_damaged_cache_is_ignored(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / CACHE_NAME).write_bytes(content)

    assert load_cached(tmp_path, "f1") is None
    assert "not used" in caplog.text


def test_a_folder_that_cannot_be_written_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()

    save_cached(tmp_path / "file", published(DEFINITION))

    assert "not cached" in caplog.text


async def test_nobody_waits_for_workers_that_cannot_start() -> None:
    definitions = Definitions()
    waiting = asyncio.create_task(definitions.wait(20))
    await asyncio.sleep(0)
    definitions.fail("torch is missing")
    with pytest.raises(TimeoutError, match="torch is missing"):
        await waiting
    definitions.replace(published(DEFINITION))
    await definitions.wait(0.01)


async def test_waiting_ends_when_definitions_become_known() -> None:
    definitions = Definitions()
    assert not definitions.are_known
    with pytest.raises(TimeoutError):
        await definitions.wait(0.01)

    waiting = asyncio.create_task(definitions.wait(20))
    await asyncio.sleep(0)
    assert definitions.replace(published(DEFINITION))
    await waiting

    assert definitions.by_name == {"Load": DEFINITION}
    assert definitions.book["Load"].class_type == "Load"
    assert definitions.fingerprint == "f1"
    assert definitions.packs == PACKS


async def test_the_revision_grows_only_with_real_changes() -> None:
    definitions = Definitions()

    definitions.replace(published(DEFINITION))
    assert not definitions.replace(published(DEFINITION, fingerprint="f2"))
    assert definitions.revision == 1
    assert definitions.replace(published(fingerprint="f3"))
    assert definitions.revision == 2


async def test_no_definitions_at_all_are_known_ones_too() -> None:
    definitions = Definitions()

    assert definitions.replace(published())
    assert definitions.are_known
