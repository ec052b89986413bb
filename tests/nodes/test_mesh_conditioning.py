"""What Hunyuan3D 2 is told of pictures."""

from __future__ import annotations

import math

import pytest
import torch

from models.errors import InvalidInput
from models.vision import VisionOutput
from nodes.mesh_conditioning import Hunyuan3Dv2Conditioning, Hunyuan3Dv2ConditioningMultiView


def said(seed: int) -> VisionOutput:
    values = torch.rand(1, 5, 8, generator=torch.Generator().manual_seed(seed))
    return VisionOutput(last_hidden_state=values)


def test_a_model_sees_each_patch_or_nothing() -> None:
    output = said(0)
    [[[seen, _]], [[nothing, _]]] = Hunyuan3Dv2Conditioning().run(output)
    assert torch.equal(seen, output["last_hidden_state"])
    assert nothing.shape == seen.shape and not nothing.any()


def test_views_come_in_order_and_say_from_where_they_look() -> None:
    front, back = said(0), said(1)
    [[[seen, _]], [[nothing, _]]] = Hunyuan3Dv2ConditioningMultiView().run(back=back, front=front)
    assert seen.shape == nothing.shape == (1, 10, 8)
    frequencies = [1 / 10000 ** (i / 4) for i in range(4)]
    for half, output, side in ((seen[:, :5], front, 0), (seen[:, 5:], back, 2)):
        position = [f(side * x) for f in (math.sin, math.cos) for x in frequencies]
        expected = output["last_hidden_state"] + torch.tensor(position)
        assert torch.allclose(half, expected, atol=1e-6)


def test_no_view_is_refused() -> None:
    with pytest.raises(InvalidInput, match="one view at least"):
        Hunyuan3Dv2ConditioningMultiView().run()
