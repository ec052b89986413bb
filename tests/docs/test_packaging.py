"""What is packaged is complete: every import is declared, every declared dependency is used."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("server", "executor", "nodes", "models", "compat")

# Distribution -> the name it is imported by, where the two differ.
IMPORT_NAMES = {
    "huggingface-hub": "huggingface_hub",
    "pillow": "PIL",
    "PyYAML": "yaml",
    "SQLAlchemy": "sqlalchemy",
}
DATA_ONLY = {"open_clip_torch", "swagger-ui-bundle-v2"}  # read as package data, never imported
THROUGH_OTHERS = {"accelerate"}  # diffusers imports it


def _imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def _third_party_imports() -> set[str]:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    names = {name for file in files for name in _imported_by(file)}
    host_names = {path.stem for path in (ROOT / "compat").iterdir()}  # found by the node loader
    return names - set(sys.stdlib_module_names) - set(PACKAGES) - host_names


def _declared() -> dict[str, str]:
    """Distribution -> lower bound."""
    return _lower_bounds(PROJECT["dependencies"])


def _optional() -> dict[str, str]:
    """The same for the extras of users."""
    extras = PROJECT["optional-dependencies"]
    return _lower_bounds(
        [e for name in ("frontend", "formats", "gguf", "gl", "gpu", "meshes") for e in extras[name]]
    )


def _lower_bounds(requirements: list[str]) -> dict[str, str]:
    found = (re.fullmatch(r"([\w.-]+)>=([\w.]+)(?:; .*)?", line) for line in requirements)
    return {match[1]: match[2] for match in found if match is not None}


def test_every_dependency_has_a_lower_bound() -> None:
    assert len(_declared()) == len(PROJECT["dependencies"])


def test_every_dependency_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = [line for name in _declared() for line in text.splitlines() if f'"{name}>=' in line]
    assert [line for line in lines if "#" not in line] == []


def test_every_import_is_declared() -> None:
    importable = {IMPORT_NAMES.get(name, name) for name in _declared() | _optional()}
    assert _third_party_imports() - importable == set()


def test_every_declared_dependency_is_used() -> None:
    imported = _declared().keys() - DATA_ONLY - THROUGH_OTHERS
    importable = {IMPORT_NAMES.get(name, name) for name in imported}
    assert importable - _third_party_imports() == set()


def test_the_licence_is_apache_2() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
