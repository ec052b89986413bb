"""Models that torch.compile has compiled give what they give without."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from models.compiling import check_backend
from models.devices import HOME, StatedMemory
from models.errors import InvalidInput
from models.load import load_checkpoint
from models.memory import Policy, choose_policy
from models.protocol.sampling import sample_latent
from nodes.compiling import TorchCompileModel
from tests.models.tiny_flux import TinyFlux, inputs

X = torch.linspace(-1, 1, 4 * 8 * 8).reshape(1, 4, 8, 8)
CONTEXT = torch.linspace(-1, 1, 77 * 16).reshape(1, 77, 16)
CUDA = torch.device("cuda", 0)


class Twice:
    """A patch."""

    def apply(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * 2


class Noting:
    """A backend that notes the graphs it gets, and leaves them as they are."""

    def __init__(self) -> None:
        self.graphs: list[Any] = []
        torch._dynamo.reset()

    def __call__(self, graph: Any, inputs: Any) -> Any:
        self.graphs.append(graph)
        return graph.forward


@pytest.fixture
def noting() -> Noting:
    return Noting()


def denoised(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.denoised(X, torch.tensor([2.0]), CONTEXT)
    return found


def test_it_is_compiled_once_and_takes_patches(
    tiny_file: Path, policy: Policy, noting: Noting
) -> None:
    model = load_checkpoint(tiny_file, policy).model
    plain, compiled = denoised(model), model.clone(compiled_by=noting)
    assert not noting.graphs
    torch.testing.assert_close(denoised(compiled), plain)
    count = len(noting.graphs)
    assert count > 0
    patched = compiled.with_patches({"conv_in.weight": [Twice()]})
    expected = model.with_patches({"conv_in.weight": [Twice()]})
    torch.testing.assert_close(denoised(patched), denoised(expected))
    torch.testing.assert_close(denoised(compiled), plain)
    assert len(noting.graphs) == count


def test_packs_and_attached_patches_run_the_compiled_model(
    tiny_file: Path, policy: Policy, noting: Noting
) -> None:
    model = load_checkpoint(tiny_file, policy).model
    options: dict[str, Any] = {
        "seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal",
        "positive": [[CONTEXT, {}]], "negative": [[-CONTEXT, {}]],
    }  # fmt: skip
    latent = {"samples": torch.zeros(1, 4, 8, 8)}

    def sampled(handle: Any) -> torch.Tensor:
        made = handle.clone()
        made.set_model_sampler_cfg_function(lambda told: told["cond"])
        found: torch.Tensor = sample_latent(made, latent, **options)["samples"]
        return found

    expected = sampled(model)
    assert not noting.graphs
    torch.testing.assert_close(sampled(model.clone(compiled_by=noting)), expected)
    assert noting.graphs
    torch.testing.assert_close(sampled(model), expected)


def test_blocks_of_flux_are_compiled_for_all_of_a_kind(noting: Noting) -> None:
    tiny = TinyFlux()
    model, arguments = tiny.handle(), inputs(tiny)
    network = model.model.diffusion_model
    plain = network.run(**arguments, patches={})
    for _ in range(2):
        compiled = network.run(**arguments, patches={}, compiled_by=noting)
        torch.testing.assert_close(compiled, plain, atol=1e-5, rtol=1e-5)
    assert 2 <= len(noting.graphs) < tiny.double + tiny.single + 2


def test_a_backend_that_fails_is_named(tiny_file: Path, policy: Policy) -> None:
    def failing(graph: Any, inputs: Any) -> Any:
        raise ValueError("no such instruction")

    torch._dynamo.reset()
    model = load_checkpoint(tiny_file, policy).model.clone(compiled_by=failing)
    with pytest.raises(InvalidInput, match=r"cannot be compiled by 'failing'.*TorchCompileModel"):
        denoised(model)


def test_cudagraphs_need_a_gpu(tiny_file: Path, policy: Policy) -> None:
    model = load_checkpoint(tiny_file, policy).model
    with pytest.raises(InvalidInput, match="needs a CUDA GPU"):
        TorchCompileModel().run(model, "cudagraphs")
    check_backend("cudagraphs", CUDA)


def test_inductor_needs_a_compiler_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InvalidInput, match=r"install g\+\+"):
        check_backend("inductor", HOME)
    monkeypatch.setattr(shutil, "which", {"clang++": "/usr/bin/clang++"}.get)
    check_backend("inductor", HOME)


def test_inductor_needs_triton_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match="triton"):
        check_backend("inductor", CUDA)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_inductor_compiles_for_the_cpu(tiny_file: Path, policy: Policy) -> None:
    torch._dynamo.reset()
    model = load_checkpoint(tiny_file, policy).model
    (compiled,) = TorchCompileModel().run(model, "inductor")
    torch.testing.assert_close(denoised(compiled), denoised(model))


def test_a_compiled_model_may_stream(tiny_file: Path, policy: Policy, noting: Noting) -> None:
    expected = denoised(load_checkpoint(tiny_file, policy).model)
    small = choose_policy(memory=StatedMemory(1000))
    model = load_checkpoint(tiny_file, small).model.clone(compiled_by=noting)
    torch.testing.assert_close(denoised(model), expected)
    assert model.network.is_streaming
