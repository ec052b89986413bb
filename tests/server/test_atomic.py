"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.atomic import is_part, replacing


@pytest.mark.parametrize("durable", [True, False])
def test_the_target_is_replaced_at_the_end(tmp_path: Path, durable: bool) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with replacing(target, durable=durable) as out:
        out.write(b"new")
        assert target.read_bytes() == b"old"
        [part] = [file.name for file in tmp_path.iterdir() if file != target]
        assert is_part(part)
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_after_a_failure_the_old_content_is_there(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(KeyError), replacing(target) as out:
        out.write(b"half")
        raise KeyError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_names_of_other_files_are_no_parts() -> None:
    assert [name for name in ("a.part", ".part", ".a.part", "a", "") if is_part(name)] == []
