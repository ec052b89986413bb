"""The programs that drive the server through a client each, and what each client can do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
LIMIT_S: Final = 120.0


@dataclass(frozen=True)
class Driver:
    """A script; it is given a file that says what to do, and prints what came of it as JSON."""

    package: str
    script: str
    abilities: frozenset[str]  # keys of its result

    @property
    def is_python(self) -> bool:
        return self.script.endswith(".py")

    def __str__(self) -> str:
        return self.package


def _driver(package: str, script: str, *abilities: str) -> Driver:
    return Driver(package, script, frozenset(("picture", "repeated", "refusal", *abilities)))


DRIVERS: Final = (
    _driver(
        "comfy-api-simplified",
        "api_simplified_driver.py",
        "tiny",
        "uploaded",
        "cancelled",
        "models",
    ),
    _driver("comfy-script", "comfy_script_driver.py", "progress", "cancelled", "models"),
    _driver("comfyapi", "comfyapi_driver.py"),
    _driver("comfyui-workflow-client", "workflow_client_driver.py", "shown"),
    _driver(
        "@saintno/comfyui-sdk",
        "saintno_sdk.mjs",
        "progress",
        "tiny",
        "uploaded",
        "cancelled",
        "models",
    ),
    _driver(
        "@stable-canvas/comfyui-client",
        "stable_canvas.mjs",
        "progress",
        "tiny",
        "written",
        "cancelled",
        "models",
    ),
    _driver("comfy-ui-client", "comfy_ui_client.mjs", "tiny", "uploaded", "cancelled", "models"),
)


def able_to(ability: str) -> list[Driver]:
    """The drivers whose client can do that."""
    return [driver for driver in DRIVERS if ability in driver.abilities]


def run(command: Sequence[str | Path], environ: Mapping[str, str]) -> list[Any]:
    """The lines of JSON that the command prints; at least one."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environ,
        stdin=subprocess.DEVNULL,
    )
    printed = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"]
    if not printed:
        said = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        raise AssertionError(f"{command} ended with {done.returncode}:\n{said}")
    return printed
