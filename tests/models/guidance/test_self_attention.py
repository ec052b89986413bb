"""Guidance away from weakened self-attention."""

from __future__ import annotations

import torch
from torch import Tensor

from models.guidance.self_attention import AttentionMap, gaussian_blur, received, slice_of
from models.protocol.attention import attention


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_received_attention_is_one_on_average_and_more_for_what_all_look_at() -> None:
    q, k = torch.ones(1, 4, 2), torch.zeros(1, 4, 2)
    assert torch.allclose(received(q, k, 1), torch.ones(1, 4))
    k[0, 2] = 100.0
    assert torch.allclose(received(q, k, 1), torch.tensor([[0.0, 0.0, 4.0, 0.0]]))


def test_received_attention_is_the_mean_over_heads() -> None:
    q, k = normal(1, 2, 5, 6), normal(2, 2, 5, 6)
    heads = [received(q[..., s], k[..., s], 1) for s in (slice(0, 3), slice(3, 6))]
    assert torch.allclose(received(q, k, 2), (heads[0] + heads[1]) / 2, atol=1e-6)


def test_the_map_is_that_of_the_negative_side_and_attention_is_as_usual() -> None:
    q, k, v = normal(1, 4, 6, 8), normal(2, 4, 6, 8), normal(3, 4, 6, 8)
    watch = AttentionMap()
    told = {"n_heads": 2, "cond_or_uncond": [0, 1], "activations_shape": [4, 8, 2, 3]}
    assert torch.equal(watch(q, k, v, told), attention(q, k, v, 2))
    assert watch.received is not None
    assert torch.equal(watch.received, received(q[2:], k[2:], 2).reshape(2, 2, 3))


def test_a_call_without_the_negative_side_leaves_the_map() -> None:
    q = normal(1, 1, 6, 8)
    watch = AttentionMap()
    watch(q, q, q, {"n_heads": 2, "cond_or_uncond": [0], "activations_shape": [1, 8, 2, 3]})
    assert watch.received is None


def test_parts_of_a_batch_lie_one_after_the_other() -> None:
    assert [slice_of(index, 3, 6) for index in range(3)] == [slice(0, 2), slice(2, 4), slice(4, 6)]


def test_blur_keeps_flat_pictures_and_spreads_a_point_evenly() -> None:
    assert torch.allclose(gaussian_blur(torch.ones(1, 2, 12, 12), 2.0), torch.ones(1, 2, 12, 12))
    point = torch.zeros(1, 1, 11, 11)
    point[0, 0, 5, 5] = 1.0
    blurred = gaussian_blur(point, 1.0)[0, 0]
    assert torch.allclose(blurred, blurred.T) and torch.allclose(blurred, blurred.flip(0))
    ratio = float(blurred[5, 6] / blurred[5, 5])
    assert abs(ratio - float(torch.tensor(-0.5).exp())) < 1e-6


def test_without_width_nothing_is_blurred() -> None:
    x = normal(1, 1, 4, 5, 5)
    assert gaussian_blur(x, 0.0) is x


def test_a_latent_smaller_than_the_kernel_is_blurred_within_its_edges() -> None:
    assert gaussian_blur(normal(1, 1, 4, 2, 3), 2.0).shape == (1, 4, 2, 3)
