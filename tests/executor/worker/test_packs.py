"""Importing node packs: what they may be, and what becomes of those that are broken."""

from __future__ import annotations

import asyncio
import logging
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from executor.definitions import NodeDefinition
from executor.packs import PackReport, find_packs
from executor.worker.describe import describe_all
from executor.worker.packs import NodeTables, PackLoader
from executor.worker.shared_names import SharedNames, share_names

CLASS = """
class {name}:
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"text": ("STRING", {{}})}}}}
    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    def run(self, text):
        return (text,)
"""
PACK = CLASS.format(name="Good") + 'NODE_CLASS_MAPPINGS = {"Good": Good}\n'


class Registered:
    """What packs register elsewhere; one number here."""

    def __init__(self) -> None:
        self.routes: list[str] = []

    def mark(self) -> list[str]:
        return list(self.routes)

    def undo(self, mark: list[str]) -> None:
        self.routes[:] = mark


class Packs:
    """Folder `custom_nodes` and what is loaded from it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tables = NodeTables(classes={"BuiltIn": object}, display_names={"BuiltIn": "Built in"})
        self.registered = Registered()
        self.announced: list[str | None] = []
        self.definitions: list[NodeDefinition] = []

    def write(self, name: str, text: str) -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    def load(
        self, *, left_out: Mapping[str, str] | None = None, disabled: frozenset[str] = frozenset()
    ) -> dict[str, PackReport]:
        loader = PackLoader(
            find_packs([self.root]),
            self.tables,
            self.registered,
            announce=self.announced.append,
            left_out=left_out or {},
            disabled=disabled,
            timeout_s=60,
        )
        loader.run_start_scripts()
        asyncio.run(loader.load())
        self.definitions = loader.describe(describe_all)
        loader.log_times()
        return {report.name: report for report in loader.reports}


@pytest.fixture
def packs(tmp_path: Path) -> Iterator[Packs]:
    known, path = set(sys.modules), list(sys.path)
    yield Packs(tmp_path / "custom_nodes")
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if name.startswith("custom_nodes"):
            del sys.modules[name]


def test_a_folder_and_a_single_file_bring_their_classes(packs: Packs) -> None:
    packs.write("a-pack/__init__.py", "from .nodes import NODE_CLASS_MAPPINGS")
    packs.write("a-pack/nodes.py", CLASS.format(name="A") + 'NODE_CLASS_MAPPINGS = {"A 1": A}')
    named = 'NODE_DISPLAY_NAME_MAPPINGS = {"Good": "Very good", "BuiltIn": "Mine"}'
    packs.write("single.py", PACK + named)

    reports = packs.load()

    assert {name: report.nodes for name, report in reports.items()} == {"a-pack": 1, "single": 1}
    assert [report.error for report in reports.values()] == [None, None]
    infos = {found.name: found.info for found in packs.definitions}
    assert infos["A 1"]["python_module"] == "custom_nodes.a-pack"
    assert infos["A 1"]["display_name"] == "A 1"
    assert infos["Good"]["python_module"] == "custom_nodes.single"
    assert infos["Good"]["display_name"] == "Very good"
    assert packs.tables.display_names["BuiltIn"] == "Built in"
    assert all(report.seconds >= 0 for report in reports.values())


BROKEN = {
    "raises": ("raise RuntimeError('a bug')", "RuntimeError: a bug (line 1 of"),
    "exits": ("import sys; sys.exit(3)", "tried to end the process (SystemExit: 3)"),
    "interrupts": ("raise KeyboardInterrupt", "tried to end the process"),
    "cancels": ("import asyncio; raise asyncio.CancelledError", "tried to end the process"),
    "odd": ("class Odd(BaseException): pass\nraise Odd('odd')", "Odd: odd"),
    "unprintable": (
        "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
        "E",
    ),
    "syntax": ("def broken(:", "SyntaxError"),
    "needs": ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
    "list": ("NODE_CLASS_MAPPINGS = ['A']", "must be a dict, not a list"),
    "entry_raises": ("def comfy_entrypoint(): raise OSError('no')", "OSError: no"),
    "entry_none": ("async def comfy_entrypoint(): return None", "gives no ComfyExtension"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_pack_is_left_out_and_others_are_loaded(packs: Packs, name: str) -> None:
    text, reason = BROKEN[name]
    packs.write(f"{name}/__init__.py", text)
    packs.write("z_good.py", PACK)

    reports = packs.load()

    assert reason in str(reports[name].error)
    assert (reports[name].nodes, reports[name].web) == (0, {})
    assert reports["z_good"].error is None
    assert [found.name for found in packs.definitions] == ["Good"]
    assert f"custom_nodes.{name}" not in sys.modules


def test_a_folder_without_a_module_is_reported(packs: Packs) -> None:
    packs.write("empty/readme.txt", "")
    assert packs.load()["empty"].error == "the folder has no __init__.py"


def test_what_a_pack_without_nodes_has_done_stays(packs: Packs) -> None:
    packs.registered.routes.append("/before")
    packs.write(
        "only_routes/__init__.py", "from . import part\nimport host\nhost.routes.append('/mine')\n"
    )
    packs.write("only_routes/part.py", "")
    sys.modules["host"] = packs.registered  # type: ignore[assignment]
    try:
        report = packs.load()["only_routes"]
    finally:
        del sys.modules["host"]
    assert report.error == "it has neither NODE_CLASS_MAPPINGS nor comfy_entrypoint"
    assert packs.registered.routes == ["/before", "/mine"]
    assert "custom_nodes.only_routes.part" in sys.modules


def test_what_a_broken_pack_has_registered_is_taken_back(packs: Packs) -> None:
    packs.write(
        "broken/__init__.py",
        """
        import gc
        from . import part
        tables = part.tables()
        tables.classes["Sneaked"] = object
        tables.display_names["Sneaked"] = "Sneaked"
        part.registered().routes.append("/broken")
        raise RuntimeError("at the end")
        """,
    )
    packs.write(
        "broken/part.py",
        """
        import gc
        def find(name):
            return next(o for o in gc.get_objects() if type(o).__name__ == name)
        def tables():
            return find("NodeTables")
        def registered():
            return find("Registered")
        """,
    )
    packs.registered.routes.append("/mine")
    classes = packs.tables.classes

    packs.load()

    assert list(classes) == ["BuiltIn"]
    assert packs.tables.classes is classes
    assert packs.registered.routes == ["/mine"]
    assert "custom_nodes.broken.part" not in sys.modules


def test_entries_that_are_no_classes_are_skipped(
    packs: Packs, caplog: pytest.LogCaptureFixture
) -> None:
    packs.write(
        "mixed.py",
        PACK + 'NODE_CLASS_MAPPINGS |= {"Text": "no", 3: Good, "None": None}\n'
        'NODE_CLASS_MAPPINGS["half a pair \\ud800"] = Good',
    )
    reports = packs.load()
    assert (reports["mixed"].nodes, reports["mixed"].error) == (1, None)
    assert caplog.text.count("is no node class") == 4


def test_a_class_that_cannot_be_described_is_left_out_alone(packs: Packs) -> None:
    packs.write(
        "half.py",
        PACK
        + """
class Bad:
    RETURN_TYPES = ()
    @classmethod
    def INPUT_TYPES(cls):
        raise SystemExit
class Interrupts(Good):
    @classmethod
    def INPUT_TYPES(cls):
        raise KeyboardInterrupt
class Odd(Good):
    CATEGORY = object()
NODE_CLASS_MAPPINGS |= {"Bad": Bad, "Interrupts": Interrupts, "Odd": Odd, "Type": int}
""",
    )
    assert packs.load()["half"].error is None
    assert [found.name for found in packs.definitions] == ["Good"]


def test_a_built_in_class_is_not_replaced(packs: Packs) -> None:
    packs.write("clash.py", PACK + 'NODE_CLASS_MAPPINGS["BuiltIn"] = Good')
    assert packs.load()["clash"].nodes == 1
    assert packs.tables.classes["BuiltIn"] is object


def test_of_two_packs_with_one_class_the_later_wins(packs: Packs) -> None:
    packs.write("a.py", PACK)
    packs.write("b.py", PACK)
    packs.load()
    assert {found.info["python_module"] for found in packs.definitions} == {"custom_nodes.b"}


def test_disabled_classes_are_not_registered(packs: Packs) -> None:
    packs.write("a.py", PACK)
    assert packs.load(disabled=frozenset({"Good"}))["a"].nodes == 0
    assert packs.definitions == []


def test_a_pack_that_ended_a_worker_is_not_touched(packs: Packs, tmp_path: Path) -> None:
    text = f"open({str(tmp_path / 'touched')!r}, 'w')"
    packs.write("bad/__init__.py", text)
    packs.write("bad/prestartup_script.py", text)
    report = packs.load(left_out={"bad": "it crashed"})["bad"]
    assert report.error == "it crashed"
    assert not (tmp_path / "touched").exists()
    assert "bad" not in packs.announced


def test_the_server_is_told_whose_code_runs(packs: Packs) -> None:
    packs.write("a/__init__.py", PACK)
    packs.write("a/prestartup_script.py", "")
    packs.write("b.py", PACK)
    packs.load()
    assert packs.announced == ["a", None, "a", "b", None, "a", "b", None]


def test_start_up_scripts_run_before_any_import_and_may_fail(
    packs: Packs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PACK_ORDER", "")
    note = "import os; os.environ['PACK_ORDER'] += '{} '\n"
    packs.write("a/__init__.py", note.format("a") + PACK)
    packs.write("b/__init__.py", note.format("b") + PACK)
    packs.write("b/prestartup_script.py", note.format("script") + "raise SystemExit(1)")

    reports = packs.load()

    import os

    assert os.environ["PACK_ORDER"] == "script a b "
    assert reports["b"].error is None
    assert "its start-up script failed" in caplog.text


def test_packs_import_from_each_other_by_name(packs: Packs) -> None:
    packs.write("a.py", "from custom_nodes.z_base.tool import Good\n" + PACK)
    packs.write("z_base/__init__.py", "count = 1\nNODE_CLASS_MAPPINGS = {}")
    packs.write("z_base/tool.py", CLASS.format(name="Good"))
    reports = packs.load()
    assert [report.error for report in reports.values()] == [None, None]
    assert sys.modules["custom_nodes"].z_base is sys.modules["custom_nodes.z_base"]


def test_a_pack_may_have_a_package_of_its_own_by_the_name_of_one_of_ours(
    packs: Packs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    share_names()
    share_names()
    assert sum(isinstance(finder, SharedNames) for finder in sys.meta_path) == 1
    packs.write("own/models/net_of_a_pack/__init__.py", "from .layers import WIDTH\n")
    packs.write("own/models/net_of_a_pack/layers.py", "WIDTH = 3\n")
    packs.write(
        "own/__init__.py",
        "import os, sys\n"
        "sys.path.append(os.path.dirname(__file__))\n"
        "from models.net_of_a_pack import WIDTH\n"
        "from models.handle import ModelHandle\n"
        "assert WIDTH == 3\n"
        "try:\n"
        "    import models.nowhere_to_be_found\n"
        "except ModuleNotFoundError:\n"
        "    pass\n" + PACK,
    )
    (report,) = packs.load().values()
    assert report.error is None and report.nodes == 1


def test_a_name_with_dots_and_dashes_can_have_parts(packs: Packs) -> None:
    packs.write("my-pack-1.2/__init__.py", "from .part import NODE_CLASS_MAPPINGS")
    packs.write("my-pack-1.2/part.py", "from . import other\n" + PACK)
    packs.write("my-pack-1.2/other.py", "")
    assert packs.load()["my-pack-1.2"].error is None
    assert packs.definitions[0].info["python_module"] == "custom_nodes.my-pack-1.2"


def test_web_folders_are_those_that_exist(packs: Packs, caplog: pytest.LogCaptureFixture) -> None:
    packs.write("a/__init__.py", "WEB_DIRECTORY = './js'\nNODE_CLASS_MAPPINGS = {}")
    packs.write("a/js/a.js", "")
    packs.write("b/__init__.py", "WEB_DIRECTORY = 'gone'\nNODE_CLASS_MAPPINGS = {}")
    packs.write("c/__init__.py", "NODE_CLASS_MAPPINGS = {}")
    project = '[project]\nname = "c project"\n[tool.comfy]\nweb = "pages"\n'
    packs.write("c/pyproject.toml", project)
    packs.write("c/pages/c.js", "")
    packs.write("d/__init__.py", "WEB_DIRECTORY = 'js'")  # a pack that is only for browsers
    packs.write("d/js/d.js", "")
    packs.write("d/pyproject.toml", "no TOML")

    reports = packs.load()

    assert reports["a"].web == {"a": str(packs.root / "a" / "js")}
    assert reports["b"].web == {}
    assert reports["c"].web == {"c project": str(packs.root / "c" / "pages")}
    assert reports["d"].web == {"d": str(packs.root / "d" / "js")}
    assert [report.error for report in reports.values()] == [None] * 4
    assert "node pack 'b' has no folder 'gone'" in caplog.text


V3_PACK = (
    CLASS.format(name="Modern")
    + """
class Schema:
    node_id, display_name = "ModernNode", "A modern node"
Modern.GET_SCHEMA = classmethod(lambda cls: Schema)
class Extension:
    async def on_load(self):
        self.loaded = True
    async def get_node_list(self):
        assert self.loaded
        return [Modern]
"""
)


@pytest.mark.parametrize("entry", ["def", "async def"])
def test_an_extension_brings_its_classes(packs: Packs, entry: str) -> None:
    packs.write("v3.py", V3_PACK + f"{entry} comfy_entrypoint():\n    return Extension()\n")
    assert packs.load()["v3"].error is None
    (found,) = packs.definitions
    assert (found.name, found.info["display_name"]) == ("ModernNode", "A modern node")
    assert found.info["python_module"] == "custom_nodes.v3"


def test_old_mappings_win_over_an_extension(packs: Packs) -> None:
    packs.write("both.py", PACK + "def comfy_entrypoint(): raise RuntimeError")
    assert packs.load()["both"].error is None


def test_classes_that_a_pack_writes_into_the_table_are_described(packs: Packs) -> None:
    classes: dict[str, Any] = packs.tables.classes
    packs.write("a.py", PACK)
    packs.load()
    packs.write("b.py", PACK)
    classes["Later"] = classes["Good"]
    packs.load()
    assert "Later" in {found.name for found in packs.definitions} | set(classes)


def test_the_log_has_a_table_of_all_packs(packs: Packs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    packs.write("good.py", PACK)
    packs.write("bad.py", "raise RuntimeError('first line\\nsecond line')")
    packs.load()
    table = caplog.messages[-1].splitlines()
    assert "by the time" in table[0]
    assert len(table) == 3
    (bad,) = (line for line in table if "bad.py" in line)
    assert "0 nodes" in bad
    assert bad.endswith("LEFT OUT: RuntimeError: first line")
