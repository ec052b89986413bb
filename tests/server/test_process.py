"""The server as a process: what it loads, how it starts and ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.client import wait_until
from tests.conftest import ROOT, ServerProcess
from tests.server.graphs import fresh_graph, slow_graph

MIB = 1024 * 1024


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DARKROOM_")}
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_no_module_of_the_server_imports_torch() -> None:
    modules = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for folder in ("server", "executor")
        for file in (ROOT / folder).rglob("*.py")
        if not {"worker", "migrations"} & set(file.relative_to(ROOT).parts)
        and file.stem not in ("__main__", "__init__")
    ]
    assert "server.run" in modules
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    code += "bad = {'torch', 'numpy', 'nodes', 'models', 'diffusers'} & set(sys.modules)\n"
    code += "sys.exit(f'imported: {bad}' if bad else 0)"
    subprocess.run([sys.executable, "-c", code, *modules], cwd=ROOT, check=True, timeout=60)


def test_the_running_server_has_no_torch_but_its_worker_has(server_process: ServerProcess) -> None:
    server_process.client.run(fresh_graph())
    server_process.client.get("/object_info")
    main = psutil.Process(server_process.process.pid)
    (worker,) = main.children()

    def libraries(process: psutil.Process) -> str:
        return Path(f"/proc/{process.pid}/maps").read_text()

    assert "libtorch" not in libraries(main)
    assert "libtorch" in libraries(worker)


def test_the_idle_server_is_small(server_process: ServerProcess) -> None:
    server_process.client.run(fresh_graph())
    resident = psutil.Process(server_process.process.pid).memory_info().rss
    assert resident < 120 * MIB, f"{resident / MIB:.0f} MiB"


def test_statistics_are_answered_before_the_worker_is_ready(
    new_server: Callable[..., ServerProcess],
) -> None:
    began = time.monotonic()
    server = new_server()
    assert server.client.get("/system_stats").status == 200
    # Ten times the aim: this machine may be busy. docs/performance.md has measured figures.
    assert time.monotonic() - began < 15


def test_prompts_may_come_before_the_worker_is_ready(
    new_server: Callable[..., ServerProcess],
) -> None:
    assert new_server().client.run(fresh_graph())["status"]["completed"]


def test_sigterm_ends_it_soon_even_while_a_job_runs(
    new_server: Callable[..., ServerProcess],
) -> None:
    server = new_server()
    listener = server.client.listen()
    server.client.submit(slow_graph(240))
    wait_until(lambda: server.client.get("/queue").json()["queue_running"], what="the job runs")
    children = psutil.Process(server.process.pid).children(recursive=True)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 8
    assert not psutil.wait_procs(children, timeout=5)[1]
    listener.socket.shutdown()


def test_a_restart_finds_the_queue_and_the_history(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base = tmp_path / "kept"
    first = new_server(base=base)
    done = first.client.submit(fresh_graph())
    entry = first.client.wait(done)
    running = first.client.submit(slow_graph(240))
    wait_until(lambda: first.client.get("/queue").json()["queue_running"], what="the job runs")
    waiting = first.client.submit(fresh_graph())
    first.stop()
    second = new_server(base=base).client
    assert second.history(done) == entry
    listed = second.get("/queue").json()
    ids = [item[1] for items in listed.values() for item in items]
    assert ids == [running, waiting]
    wait_until(lambda: second.get("/queue").json()["queue_running"], what="the job runs again")
    second.post("/interrupt", {"prompt_id": running})
    assert second.wait(waiting)["status"]["completed"]


def test_temp_is_emptied_at_start(new_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    (tmp_path / "scratch" / "temp").mkdir(parents=True)
    (tmp_path / "scratch" / "temp" / "old.png").touch()
    (tmp_path / "scratch" / "other.txt").touch()
    new_server("--temp-directory", str(tmp_path / "scratch"))
    assert list((tmp_path / "scratch").rglob("*.*")) == [tmp_path / "scratch" / "other.txt"]


def test_folders_are_made_and_extra_model_paths_are_read(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base, more = tmp_path / "b", tmp_path / "more"
    (base / "far").mkdir(parents=True)
    (base / "far" / "found.safetensors").touch()
    (more / "l").mkdir(parents=True)
    (more / "l" / "lora.safetensors").touch()
    (base / "extra_model_paths.yaml").write_text("x:\n  checkpoints: far\n")
    (more / "second.yaml").write_text("y:\n  loras: l\n")
    client = new_server("--extra-model-paths-config", str(more / "second.yaml"), base=base).client
    assert {"input", "output", "user", "custom_nodes", "models"} <= {p.name for p in base.iterdir()}
    assert "found.safetensors" in client.get("/models/checkpoints").json()
    assert client.get("/models/loras").json() == ["lora.safetensors"]


def test_a_port_in_use_ends_the_start_with_a_reason(
    server_process: ServerProcess, tmp_path: Path
) -> None:
    port = server_process.address.rpartition(":")[2]
    ended = command("--cpu", "--port", port, "--base-directory", str(tmp_path), cwd=tmp_path)
    assert ended.returncode == 1
    assert f"port {port}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--no-such-flag"], "--no-such-flag"),
        (["--port", "many"], "'port'"),
        (["--config", "gone.toml"], "gone.toml"),
        (["--front-end-version", "x"], "--front-end-version is not supported"),
    ],
)
def test_wrong_usage_ends_with_status_2_and_a_reason(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    ended = command(*arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert reason in ended.stderr


def test_a_broken_yaml_file_ends_the_start_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("x: [")
    ended = command(
        *("--base-directory", str(tmp_path / "b"), "--port", "0"),
        *("--extra-model-paths-config", str(tmp_path / "bad.yaml")),
        cwd=tmp_path,
    )
    assert ended.returncode == 1
    assert "bad.yaml" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_log_file_that_cannot_be_written_ends_the_start_with_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "log"
    ended = command("--base-directory", str(tmp_path), "--verbose", "INFO", str(file), cwd=tmp_path)
    assert ended.returncode == 1
    assert f"cannot log to '{file}': No such file" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_quick_test_loads_the_nodes_and_ends(tmp_path: Path) -> None:
    ended = command(
        *("--quick-test-for-ci", "--cpu", "--port", "0", "--base-directory", str(tmp_path / "b")),
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr


def test_the_log_can_be_json_lines(new_server: Callable[..., ServerProcess]) -> None:
    server = new_server("--log-format", "json", "--cuda-malloc")
    lines = [json.loads(line) for line in server.log]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    assert any("--cuda-malloc is accepted" in line["message"] for line in lines)
    assert any("listening on" in line["message"] for line in lines)
