"""`darkroom doctor` finds what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from server import doctor
from server.settings import build_settings


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """All checks but the one that imports torch in a process of its own."""
    checks = [check for check in doctor._CHECKS if check is not doctor._device]
    monkeypatch.setattr(doctor, "_CHECKS", checks)


def test_all_is_well_with_a_checkpoint_and_a_free_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = tmp_path / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "mine.safetensors").touch()
    settings = build_settings({"base_directory": str(tmp_path), "port": 0}, {})
    assert doctor.examine(settings) == 0
    report = capsys.readouterr().out
    assert "mine.safetensors" in report
    assert "FAIL" not in report


def test_it_keeps_the_temporary_files_of_a_running_server(tmp_path: Path) -> None:
    (tmp_path / "temp").mkdir()
    (tmp_path / "temp" / "preview.png").touch()
    doctor.examine(build_settings({"base_directory": str(tmp_path), "port": 0}, {}))
    assert (tmp_path / "temp" / "preview.png").exists()


def test_a_base_folder_that_cannot_be_made_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    settings = build_settings({"base_directory": str(tmp_path / "file"), "port": 0}, {})
    assert doctor.examine(settings) == 1
    assert "[FAIL] folders:" in capsys.readouterr().out


def test_a_port_that_cannot_be_used_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"base_directory": str(tmp_path), "listen": "203.0.113.1", "port": 0}
    assert doctor.examine(build_settings(values, {})) == 1
    assert "203.0.113.1 port 0 cannot be used" in capsys.readouterr().out
