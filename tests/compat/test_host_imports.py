"""The names that public packs import most, imported by a pack in a real worker."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.client import wait_until
from tests.conftest import ServerProcess

PACK = Path(__file__).parent.parent / "packs" / "imports_pack"
REFERENCE = Path(__file__).parent.parent / "reference" / "host_imports.json"


def test_every_listed_module_and_name_can_be_imported(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    target = base / "custom_nodes" / PACK.name
    shutil.copytree(PACK, target)
    shutil.copy(REFERENCE, target)
    client = new_server(base=base).client
    wait_until(lambda: "ReportImports" in client.get("/object_info").json(), what="the pack")

    entry = client.wait(client.submit({"1": {"class_type": "ReportImports", "inputs": {}}}))

    report: dict[str, Any] = json.loads(entry["outputs"]["1"]["text"][0])
    errors: dict[str, str] = report["errors"]
    wanted = json.loads(REFERENCE.read_text())
    pairs = [f"{pair['module']}.{pair['name']}" for pair in wanted["pairs"]]
    modules = [module["module"] for module in wanted["modules"]]
    found = sum(path not in errors for path in pairs)
    print(f"{found} of {len(pairs)} names, ", end="")
    print(f"{sum(m not in errors for m in modules)} of {len(modules)} modules", end="")
    print(f" in {report['seconds']:.1f} s")
    assert errors == {}
