"""What the server says that clients may rely on."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from server.cli import main
from server.features import build_features
from tests.client import Client

CORE = {
    "supports_preview_metadata": True,
    "max_upload_size": 100 * 1024 * 1024,
    "extension": {"manager": {"supports_v4": False}},
    "supports_model_type_tags": False,
    "node_replacements": True,
    "assets": False,
}


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_features_are_the_documented_ones(server: Client, prefix: str) -> None:
    assert server.get(f"{prefix}/features").json() == CORE


def test_the_socket_tells_the_same(server: Client) -> None:
    with server.listen() as listener:
        listener.send({"type": "feature_flags", "data": {}})
        assert listener.wait_for("feature_flags") == CORE


def test_the_upload_limit_is_the_real_one(new_twin: Callable[..., Client]) -> None:
    client = new_twin(max_upload_size=2)
    assert client.get("/features").json()["max_upload_size"] == 2 * 1024 * 1024


def test_flags_are_added(new_twin: Callable[..., Client]) -> None:
    client = new_twin(feature_flags=["show_signin_button=true", "my_flag=some=text", "bare"])
    added = {"show_signin_button": True, "my_flag": "some=text", "bare": True}
    assert client.get("/features").json() == CORE | added
    with client.listen() as listener:
        listener.send({"type": "feature_flags", "data": {}})
        assert listener.wait_for("feature_flags") == CORE | added


@pytest.mark.parametrize(
    ("flag", "added"),
    [
        ("enable_telemetry", {"enable_telemetry": True}),
        ("partner_run_gate_enabled=False", {"partner_run_gate_enabled": False}),
        ("other=true", {"other": "true"}),
        ("other=", {"other": ""}),
        ("other=5", {"other": "5"}),
    ],
)
def test_a_known_flag_is_a_boolean_and_another_keeps_its_text(
    flag: str, added: dict[str, object]
) -> None:
    assert build_features(100 * 1024 * 1024, [flag]) == CORE | added


@pytest.mark.parametrize(
    "flag", ["show_signin_button=1", "enable_telemetry=", "=x", "assets=true", "extension", ""]
)
def test_a_flag_that_cannot_be_set_is_dropped_with_a_warning(
    flag: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert build_features(100 * 1024 * 1024, [flag]) == CORE
    (record,) = caplog.records
    assert record.levelname == "WARNING"


def test_known_flags_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-feature-flags"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {name: (flag["type"], flag["default"]) for name, flag in listed.items()} == {
        "show_signin_button": ("bool", False),
        "enable_telemetry": ("bool", False),
        "partner_run_gate_enabled": ("bool", True),
    }
    assert all(set(flag) == {"type", "default", "description"} for flag in listed.values())
