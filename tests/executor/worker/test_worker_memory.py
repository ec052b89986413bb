"""What a real worker holds in memory while prompts use several checkpoints."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from executor.calls import MEMORY_STATS, MemoryStats
from executor.messages import Call, Finished, Free, Log, Ready, Reply
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models.tiny import TinyModel, save, save_checkpoint

MB = 10**6
CALL_IDS = itertools.count(1)
NETWORKS = 3  # of a checkpoint


@contextmanager
def working(base: Path, **options: Any) -> Iterator[Client]:
    config = WorkerConfig(base=str(base), cpu=True, **options)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("base")
    for name in ("models/checkpoints", "models/vae", "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    for name in "abc":
        save_checkpoint(base / "models" / "checkpoints" / f"{name}.safetensors")
    return base


def graph(checkpoint: str, text: str = "a cat") -> dict[str, Any]:
    return {
        "ckpt": node("CheckpointLoaderSimple", ckpt_name=f"{checkpoint}.safetensors"),
        "text": node("CLIPTextEncode", text=text, clip=["ckpt", 1]),
        "latent": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "sample": node(
            "KSampler",
            **{"model": ["ckpt", 0], "positive": ["text", 0], "negative": ["text", 0]},
            **{"latent_image": ["latent", 0], "seed": 1, "steps": 1, "cfg": 2.0},
            **{"sampler_name": "euler", "scheduler": "normal", "denoise": 1.0},
        ),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["ckpt", 2]),
        "show": node("PreviewImage", images=["decode", 0]),
    }


def run(client: Client, checkpoint: str, text: str = "a cat") -> None:
    finished = client.run(graph(checkpoint, text), "show")[-1]
    assert isinstance(finished, Finished) and finished.succeeded, finished


def stats(client: Client) -> MemoryStats:
    client.send(Call(call_id=next(CALL_IDS), method=MEMORY_STATS, arguments={}))
    reply = client.wait_for(Reply)
    assert reply.error is None
    return msgspec.convert(reply.result, MemoryStats)


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """Keeps the results of the last graph, as is the default."""
    with working(base) as client:
        yield client


@pytest.fixture(scope="module")
def forgetful(base: Path) -> Iterator[Client]:
    """Keeps no results: every prompt runs its loaders."""
    with working(base, cache_mode="none") as client:
        yield client


@pytest.mark.parametrize("keeper", ["client", "forgetful"])
def test_alternating_workflows_that_fit_together_load_nothing_again(
    keeper: str, request: pytest.FixtureRequest
) -> None:
    client: Client = request.getfixturevalue(keeper)
    client.send(Free(free_memory=True))
    for name in ("a", "b"):
        run(client, name)
    first = stats(client)
    for round_number in range(3):
        for name in ("a", "b"):
            run(client, name, f"cat {round_number}")
    now = stats(client)
    assert now.file_loads == first.file_loads
    assert (now.loads, now.evictions) == (first.loads, first.evictions)
    assert len(now.models) == 2 * NETWORKS


def test_two_loaders_of_one_file_share_its_weights(forgetful: Client) -> None:
    before = stats(forgetful)
    twice = graph("c") | {f"{k}2": v for k, v in graph("c").items()}
    twice["decode2"] = node("VAEDecode", samples=["sample", 0], vae=["ckpt2", 2])
    twice["show2"] = node("PreviewImage", images=["decode2", 0])
    finished = forgetful.run(twice, "show", "show2")[-1]
    assert isinstance(finished, Finished) and finished.succeeded, finished
    now = stats(forgetful)
    assert (now.file_loads - before.file_loads, now.loads - before.loads) == (1, NETWORKS)


def test_a_file_that_has_changed_is_loaded_anew(base: Path, forgetful: Client) -> None:
    file = base / "models" / "checkpoints" / "changing.safetensors"
    save_checkpoint(file)
    before = stats(forgetful).file_loads
    for _ in range(2):
        run(forgetful, "changing")
    assert stats(forgetful).file_loads == before + 1
    file.unlink()
    save_checkpoint(file, TinyModel(channels=(8, 16)))
    run(forgetful, "changing")
    assert stats(forgetful).file_loads == before + 2


def test_a_budget_of_ram_is_kept(base: Path, forgetful: Client) -> None:
    forgetful.send(Free(free_memory=True))
    run(forgetful, "a")
    budget = 2.2 * sum(model.bytes for model in stats(forgetful).models)
    with working(base, max_ram_gb=budget / 2**30) as client:
        for name in "abcab":
            run(client, name)
            now = stats(client)
            assert sum(model.bytes for model in now.models) <= budget
    assert now.file_loads == 3
    assert 3 * NETWORKS < now.loads <= 5 * NETWORKS
    assert now.evictions == now.loads - len(now.models)


def status(client: Client, name: str) -> int:
    """A figure of /proc/PID/status in bytes."""
    text = Path(f"/proc/{client.process.pid}/status").read_text(encoding="ascii")
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def large(base: Path) -> Iterator[int]:
    """Bytes of a checkpoint in float32, in which a CPU computes; `half` is the same in float16."""
    model = TinyModel(channels=(256, 512), depths=(1, 1), blocks=2, groups=8, heads=8, context=128)
    tensors = model.tensors()
    folder = base / "models" / "checkpoints"
    half = save(folder / "half.safetensors", tensors, model.config)
    whole = {name: tensor.float() for name, tensor in tensors.items()}
    file = save(folder / "large.safetensors", whole, model.config)
    yield file.stat().st_size
    file.unlink()
    half.unlink()


def test_loading_takes_a_quarter_more_than_the_file_at_most(client: Client, large: int) -> None:
    """The whole prompt does, from an idle worker on."""
    run(client, "a")  # imports what networks take
    free(client, free_memory=True)
    idle = status(client, "VmRSS")
    Path(f"/proc/{client.process.pid}/clear_refs").write_text("5", encoding="ascii")
    run(client, "large")
    peak = status(client, "VmHWM")
    assert 0.8 * large < peak - idle <= 1.25 * large


def test_halves_that_may_not_widen_take_no_memory_beside_a_layer_s(base: Path, large: int) -> None:
    budget = 1.5 * large  # of which half is too little for the diffusion model in float32
    with working(base, max_ram_gb=budget / 2**30) as client:
        run(client, "a")
        idle = status(client, "VmRSS")
        Path(f"/proc/{client.process.pid}/clear_refs").write_text("5", encoding="ascii")
        run(client, "half")
        assert status(client, "VmHWM") - idle < 0.3 * large
        assert sum(model.bytes for model in stats(client).models) < 0.6 * large


@pytest.mark.parametrize("checkpoint", ["large", "half"])
def test_free_gives_memory_back(client: Client, large: int, checkpoint: str) -> None:
    run(client, "a")
    free(client, free_memory=True)
    idle = status(client, "VmRSS")
    run(client, checkpoint)
    assert status(client, "VmRSS") - idle > 0.8 * large
    free(client, unload_models=True)
    now = stats(client)
    assert (now.files, now.models) == (0, [])
    assert now.rss - idle < 0.15 * large
    run(client, checkpoint, "again")  # results that were kept have their models still


def free(client: Client, **options: bool) -> None:
    """Have memory freed, and wait until it is."""
    client.send(Free(**options))
    while "models were freed" not in client.wait_for(Log).message:
        pass
