"""Where settings come from, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from server.settings import ENV_PREFIX, PARSERS, SettingError, Settings, build_settings

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "darkroom.toml"
    file.write_text('port = 1\nworkers = 3\nlisten = ["10.0.0.1", "::1"]\n')
    return file


def test_defaults_apply_when_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert build_settings({}, {}) == Settings()


def test_a_flag_beats_the_environment_which_beats_the_file(config: Path) -> None:
    environ = {"DARKROOM_PORT": "2", "DARKROOM_WORKERS": "4"}
    settings = build_settings({"port": 5}, environ, config)
    assert (settings.port, settings.workers, settings.listen) == (5, 4, ("10.0.0.1", "::1"))


def test_the_file_in_the_current_folder_is_found(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    assert build_settings({}, {}).port == 1


def test_the_environment_can_name_the_file(config: Path) -> None:
    assert build_settings({}, {"DARKROOM_CONFIG": str(config)}).port == 1


def test_an_empty_variable_counts_as_unset(config: Path) -> None:
    assert build_settings({}, {"DARKROOM_PORT": ""}, config).port == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "abc"),
        ("port", 70000),
        ("port", True),
        ("workers", 0),
        ("max_upload_size", "-1"),
        ("max_upload_size", "nan"),
        ("cpu", "perhaps"),
        ("cache_mode", "big"),
        ("listen", 5),
        ("no_such_setting", "1"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_source(name: str, value: object) -> None:
    with pytest.raises(SettingError) as caught:
        build_settings({name: value}, {})
    assert name in str(caught.value)
    assert caught.value.source == "command line"


@pytest.mark.parametrize("content", ["port = ", "port = [1]", "nonsense = 1", b"\xff\xfe"])
def test_a_bad_file_is_refused_with_its_name(tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingError, match=r"settings\.toml"):
        build_settings({}, {}, file)


def test_a_missing_file_that_was_named_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"gone\.toml"):
        build_settings({}, {}, tmp_path / "gone.toml")


def test_paths_expand_the_home_folder() -> None:
    assert build_settings({"base_directory": "~/x"}, {}).base_directory == Path.home() / "x"


def test_lists_in_variables_are_split() -> None:
    settings = build_settings({}, {"DARKROOM_LISTEN": "1.2.3.4, ::", "DARKROOM_CUDA_DEVICE": "0,2"})
    assert (settings.listen, settings.cuda_device) == (("1.2.3.4", "::"), (0, 2))


def test_every_setting_says_what_it_is_for() -> None:
    for field in dataclasses.fields(Settings):
        assert field.name == "argv" or field.metadata["doc"], field.name


def test_every_default_is_a_value_that_its_parser_accepts() -> None:
    for name, parse in PARSERS.items():
        default = getattr(Settings(), name)
        if default is None:
            continue
        given = str(default) if isinstance(default, Path) else default
        assert parse(given) == default, name


def test_the_documentation_lists_every_setting_and_its_variable() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    missing = [
        name
        for name in PARSERS
        if f"`{name}`" not in text or f"`{ENV_PREFIX}{name.upper()}`" not in text
    ]
    assert not missing
