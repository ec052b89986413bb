"""Calls the server as its description says: no answer is a 5xx, and each has the described form.

schemathesis makes the calls up, with good and with bad values. It is not asked whether bad ones are
refused: like the reference, the server takes more than it documents.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from PIL import Image
from schemathesis.specs.openapi import checks

from server.api_document import read_document
from server.app import route_scopes
from tests.server.twin import running_twin

DOCUMENT: Final = read_document(route_scopes())
DESCRIPTION: Final = schemathesis.openapi.from_dict(DOCUMENT)
CHECKS: Final = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]


def _furnish(base: Path) -> None:
    """Files that the examples of the description name: calls with them find something."""
    picture = base / "output" / "ComfyUI_00001_.png"
    model = base / "models" / "checkpoints" / "base.safetensors"
    workflow = base / "user" / "default" / "workflows" / "portrait.json"
    for file in (picture, model, workflow):
        file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(picture)
    Image.new("RGB", (8, 8)).save(model.with_suffix(".png"))
    header = json.dumps({"__metadata__": {"modelspec.title": "Base"}}).encode()
    model.write_bytes(len(header).to_bytes(8, "little") + header)
    workflow.write_text("{}")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    base = tmp_path_factory.mktemp("described")
    _furnish(base)
    with running_twin(base) as client:
        yield client.address


@DESCRIPTION.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_call_is_answered_as_described(case: schemathesis.Case[Any], address: str) -> None:
    case.call_and_validate(base_url=address, checks=CHECKS, timeout=20)
