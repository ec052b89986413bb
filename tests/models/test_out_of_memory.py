"""The ladder, provoked by networks that bear only so much."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from models.devices import StatedMemory
from models.errors import is_out_of_memory
from models.load import Checkpoint, load_checkpoint
from models.memory import Policy, choose_policy
from models.out_of_memory import first_that_fits
from models.sampling.guidance import Predictor


def test_the_first_attempt_that_fits_is_the_result() -> None:
    made: list[str] = []

    def fail() -> int:
        raise torch.OutOfMemoryError("too much")

    def attempts() -> Iterator[tuple[str, Callable[[], int]]]:
        for name, attempt in (("a", fail), ("b", fail), ("c", lambda: 3), ("d", lambda: 4)):
            made.append(name)
            yield name, attempt

    assert first_that_fits(attempts()) == 3
    assert made == ["a", "b", "c"]


def test_what_a_failed_attempt_had_made_is_gone_before_the_next_one() -> None:
    seen: list[weakref.ref[torch.Tensor]] = []

    def fail() -> bool:
        large = torch.zeros(10)
        seen.append(weakref.ref(large))
        raise torch.OutOfMemoryError("too much")

    def attempts() -> Iterator[tuple[str, Callable[[], bool]]]:
        yield "first", fail
        gc.collect()
        yield "second", lambda: seen[0]() is None

    assert first_that_fits(attempts())


@pytest.mark.parametrize("error", [ValueError("bad"), RuntimeError("shapes differ")])
def test_other_errors_are_not_tried_again(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        first_that_fits([("once", fail), ("twice", lambda: None)])


def test_the_machine_s_memory_counts_as_well() -> None:
    assert is_out_of_memory(MemoryError())
    text = "[enforce fail] DefaultCPUAllocator: can't allocate memory"
    assert is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory\nCompile with ...",  # of pinned memory
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    ],
)
def test_memory_that_libraries_of_a_gpu_take_counts_as_well(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(ValueError(text))


class Limited:
    """Has a UNet raise for more than so many latents, or unless so few weights are there."""

    def __init__(
        self, policy: Policy, loaded: Checkpoint, *, latents: int = 99, share: float = 1.0
    ) -> None:
        self.calls: list[tuple[int, int]] = []  # latents, bytes on the device
        network = loaded.model.network

        def check(module: Any, arguments: Any, named: Any = None) -> None:
            count = arguments[0].shape[0]
            there = policy.residents.bytes_on(policy.device)
            self.calls.append((count, there))
            if count > latents or there > network.size() * share:
                raise torch.OutOfMemoryError("CUDA out of memory")

        network.module.register_forward_pre_hook(check)


X = torch.linspace(-1, 1, 2 * 4 * 8 * 8).reshape(2, 4, 8, 8)


def sides() -> list[list[list[Any]]]:
    context = torch.linspace(-1, 1, 77 * 16).reshape(1, 77, 16)
    return [[[context, {}]], [[-context, {}]]]


def load(file: Path, room: int = 10**9) -> tuple[Policy, Checkpoint]:
    policy = choose_policy(memory=StatedMemory(room))
    return policy, load_checkpoint(file, policy)


def predicted(loaded: Checkpoint) -> list[torch.Tensor]:
    return Predictor(loaded.model, sides(), X).predict(X, 2.0, [0, 1])


@pytest.fixture
def expected(tiny_file: Path) -> list[torch.Tensor]:
    return predicted(load(tiny_file)[1])


def test_everything_else_leaves_the_device_first(
    tiny_file: Path, expected: list[torch.Tensor]
) -> None:
    policy, loaded = load(tiny_file)
    assert loaded.text is not None
    loaded.text.encode_text("a cat")
    other = loaded.text.encoders["l"].network
    size = loaded.model.network.size()
    limited = Limited(policy, loaded)
    torch.testing.assert_close(predicted(loaded), expected)
    assert [calls for calls, _ in limited.calls] == [4, 4]
    assert [there > size for _, there in limited.calls] == [True, False]
    assert other.is_resting


def test_then_sides_and_latents_are_predicted_apart(
    tiny_file: Path, expected: list[torch.Tensor]
) -> None:
    policy, loaded = load(tiny_file)
    limited = Limited(policy, loaded, latents=1)
    torch.testing.assert_close(predicted(loaded), expected)
    assert [count for count, _ in limited.calls] == [4, 4, 2, 2, 1, 1, 1, 1]


@pytest.mark.parametrize("share", [0.6, 0.0])
def test_then_weights_leave_the_device(
    tiny_file: Path, expected: list[torch.Tensor], share: float
) -> None:
    policy, loaded = load(tiny_file)
    Limited(policy, loaded, share=share)
    torch.testing.assert_close(predicted(loaded), expected)
    there = policy.residents.bytes_on(policy.device)
    assert there <= share * loaded.model.network.size()
    assert loaded.model.network.is_streaming


def test_at_last_the_error_goes_on(tiny_file: Path) -> None:
    policy, loaded = load(tiny_file)
    limited = Limited(policy, loaded, latents=0)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        predicted(loaded)
    shares = [there / loaded.model.network.size() for _, there in limited.calls]
    assert shares[0] == 1 and 0 < shares[-2] < 0.6 and shares[-1] == 0


def test_pictures_are_decoded_in_tiles(tiny_file: Path, policy: Policy) -> None:
    loaded = load_checkpoint(tiny_file, policy)
    assert loaded.vae is not None
    latent = torch.zeros(1, 4, 96, 96)
    sizes: list[int] = []

    def check(module: Any, arguments: Any) -> None:
        sizes.append(arguments[0].shape[-1])
        if sizes[-1] > 64:
            raise torch.OutOfMemoryError("too much")

    loaded.vae.network.module.decoder.register_forward_pre_hook(check)
    assert loaded.vae.decode(latent).shape == (1, 768, 768, 3)
    assert sizes[:2] == [96, 96] and max(sizes[2:]) == 64
