"""The key file and the command `darkroom keys`."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from server.cli import main
from server.keys import (
    FILE_NAME,
    TOKEN_PREFIX,
    KeyFile,
    KeyFileUnreadable,
    KeyRefused,
    hash_token,
)
from server.scopes import Scope
from server.settings import build_settings


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "user" / FILE_NAME)


def test_only_the_hash_of_a_key_is_kept(file: KeyFile) -> None:
    token = file.create("ann", Scope.SUBMIT)
    text = file.path.read_text()
    assert token.startswith(TOKEN_PREFIX)
    assert token.removeprefix(TOKEN_PREFIX) not in text
    assert hash_token(token) in text
    assert file.create("bob", Scope.SUBMIT) != token


def test_nobody_else_can_read_the_file(file: KeyFile) -> None:
    file.create("ann", Scope.READ)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_without_a_file_there_are_no_keys(file: KeyFile) -> None:
    assert file.read() is None
    assert file.stamp() is None


def test_a_change_has_another_stamp(file: KeyFile) -> None:
    stamps = [file.stamp()]
    file.create("ann", Scope.READ)
    stamps.append(file.stamp())
    file.revoke("ann")
    stamps.append(file.stamp())
    assert len(set(stamps)) == 3


@pytest.mark.parametrize("name", ["", "a b", "-x", "../x", "a" * 65, "ä", "x\n"])
def test_a_name_must_be_fit_for_folders_and_logs(file: KeyFile, name: str) -> None:
    with pytest.raises(KeyRefused, match="cannot be called"):
        file.create(name, Scope.READ)


def test_two_valid_keys_cannot_have_one_name(file: KeyFile) -> None:
    file.create("ann", Scope.READ)
    with pytest.raises(KeyRefused, match="'ann' already"):
        file.create("ann", Scope.ADMIN)


def test_a_revoked_key_leaves_its_record_and_its_name(file: KeyFile) -> None:
    first = file.create("ann", Scope.READ)
    file.revoke("ann")
    with pytest.raises(KeyRefused, match="no valid key 'ann'"):
        file.revoke("ann")
    second = file.create("ann", Scope.SUBMIT)
    old, new = file.read() or ()
    assert (old.sha256, new.sha256) == (hash_token(first), hash_token(second))
    assert not old.is_valid(old.created)
    assert new.is_valid(new.created)


def test_a_key_can_end_by_itself(file: KeyFile) -> None:
    file.create("ann", Scope.READ, days=2)
    (key,) = file.read() or ()
    assert key.is_valid(key.created + 2 * 86400 - 1)
    assert not key.is_valid(key.created + 2 * 86400)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 2}', '{"keys": [{"name": "x"}]}', b"\xff"]
)
def test_a_file_of_something_else_is_refused_by_name(file: KeyFile, content: str | bytes) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(KeyFileUnreadable, match=FILE_NAME):
        file.read()
    with pytest.raises(KeyFileUnreadable):
        file.create("ann", Scope.READ)


def test_a_broken_file_is_not_written_over(file: KeyFile) -> None:
    file.path.parent.mkdir()
    file.path.write_text("{")
    with pytest.raises(KeyFileUnreadable):
        file.create("ann", Scope.READ)
    assert file.path.read_text() == "{"


def test_the_settings_say_where_it_is(tmp_path: Path) -> None:
    base, user, named = str(tmp_path / "b"), str(tmp_path / "u"), str(tmp_path / "k.json")
    settings = build_settings({"base_directory": base}, {})
    assert KeyFile.of(settings).path == tmp_path / "b" / "user" / FILE_NAME
    settings = build_settings({"base_directory": base, "user_directory": user}, {})
    assert KeyFile.of(settings).path == tmp_path / "u" / FILE_NAME
    settings = build_settings({"user_directory": user, "keys_file": named}, {})
    assert KeyFile.of(settings).path == tmp_path / "k.json"


def test_the_command_shows_a_key_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--base-directory", str(tmp_path)]
    assert main(["keys", "create", "ann", "--scope", "read", "--days", "9", *base]) == 0
    token = capsys.readouterr().out.strip()
    assert main(["keys", "create", "bob", *base]) == 0
    assert main(["keys", "revoke", "bob", *base]) == 0
    capsys.readouterr()
    assert main(["keys", "list", *base]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["NAME", "SCOPE"],
        ["ann", "read"],
        ["bob", "submit"],
    ]
    assert token not in listed
    assert hash_token(token) not in listed
    assert "valid until" in listed
    assert "revoked" in listed


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--base-directory", str(tmp_path)]
    assert main(["keys", "revoke", "ann", *base]) == 1
    assert "no valid key 'ann'" in capsys.readouterr().err
    for arguments in (["create", "ann", "--days", "0"], ["create", "ann", "--scope", "x"], []):
        with pytest.raises(SystemExit):
            main(["keys", *arguments, *base])
