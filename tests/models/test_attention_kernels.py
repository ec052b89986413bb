"""Attention as flags want it, in whatever network it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models import attention_dispatch
from diffusers.models.attention_processor import Attention as Layer
from torch import Tensor
from torch.nn import functional

from executor.worker.memory import make_policy
from executor.worker_config import WorkerConfig
from models.attention_kernels import Attention, Kernel, why_not

torch.manual_seed(0)
Q, K, V = torch.randn(2, 3, 40, 8), torch.randn(2, 3, 30, 8), torch.randn(2, 3, 30, 8)
PLAIN = functional.scaled_dot_product_attention
MASKS = [None, torch.rand(2, 1, 40, 30), torch.rand(2, 1, 1, 30) > 0.5]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_attention_in_pieces_is_the_same(mask: Tensor | None, rows: int) -> None:
    split = Attention("split", most_scores=rows * 2 * 3 * 30)
    found = split.attend(Q, K, V, attn_mask=mask)
    torch.testing.assert_close(found, PLAIN(Q, K, V, attn_mask=mask))


def test_pieces_bound_how_many_scores_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        seen.append(q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2])
        return PLAIN(q, k, v, **options)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", attention)
    Attention("split", most_scores=1000).attend(Q, K, V)
    assert len(seen) == 8 and max(seen) <= 1000


def test_it_holds_for_everything_that_asks_torch_for_attention() -> None:
    calls: list[str] = []

    class Noting(Attention):
        def attend(self, q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
            calls.append(self.kernel)
            return super().attend(q, k, v, **options)

    layer = Layer(query_dim=8, heads=2, dim_head=4)
    x = torch.rand(1, 5, 8)
    expected = layer(x)
    with Noting("split", most_scores=20).active():
        torch.testing.assert_close(layer(x), expected)
    assert calls == ["split"]


def test_attention_can_be_computed_in_float32() -> None:
    q, k, v = Q.half(), K.half(), V.half()
    found = Attention(upcast=True).attend(q, k, v)
    assert found.dtype == torch.float16
    assert torch.equal(found, PLAIN(q.float(), k.float(), v.float()).half())


@pytest.mark.parametrize("kernel", ["sage", "flash", "xformers"])
def test_what_packages_do_not_take_is_torch_s(kernel: Kernel) -> None:
    assert torch.equal(Attention(kernel).attend(Q, K, V), PLAIN(Q, K, V))


class OnGpu(Tensor):
    """Says that it is on a GPU."""

    is_cuda = True


@pytest.mark.parametrize(
    ("kernel", "width", "calls"),
    [
        ("sage", 64, 1), ("sage", 160, 0), ("flash", 160, 1), ("flash", 512, 0),
        ("xformers", 512, 1),
    ],
)  # fmt: skip
def test_heads_that_are_too_wide_for_a_package_are_torch_s(
    kernel: Kernel, width: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        seen.append(options["backend"].value)
        return v[:, : q.shape[1]]

    monkeypatch.setattr(attention_dispatch, "dispatch_attention_fn", attention)
    q = torch.rand(1, 2, 4, width).half().as_subclass(OnGpu)
    assert Attention(kernel).attend(q, q, q).shape == q.shape
    assert seen == [kernel] * calls


@pytest.mark.parametrize("kernel", ["auto", "pytorch"])
def test_torch_is_left_alone_by_default(kernel: Kernel) -> None:
    with Attention(kernel).active() as mode:
        assert mode is None


def test_a_package_that_does_not_work_is_said_and_torch_takes_its_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(attention_dispatch, "_CAN_USE_SAGE_ATTN", False)
    policy = make_policy(WorkerConfig(base="b", cpu=True, attention="sage", upcast_attention=True))
    assert policy.attention == Attention("pytorch", upcast=True)
    assert "sageattention" in caplog.text
    monkeypatch.setattr(attention_dispatch, "_CAN_USE_SAGE_ATTN", True)
    assert why_not("sage") is None
    assert why_not("split") is None
