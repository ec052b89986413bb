"""A model that a pack builds itself is sampled like ours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from comfy import latent_formats, model_base, model_patcher, ops
from torch import Tensor, nn

from models.protocol.sampling import sample_latent
from tests.compat.comfy_models.runs import prompt


class Net(nn.Module):
    """Predicts the noise of a latent that should be the mean of the prompt everywhere."""

    def __init__(self, width: int, device: Any = None) -> None:
        super().__init__()
        self.dtype = torch.float32
        self.scale = ops.manual_cast.Linear(1, 1, bias=False, device=device).requires_grad_(False)
        self.scale.weight.fill_(1.0)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, **kwargs: Any) -> Tensor:
        wanted = self.scale(context.mean(dim=(1, 2))[:, None])[:, :, None, None]
        sigma = kwargs["transformer_options"]["sigmas"][0]
        noisy = x * (sigma**2 + 1).sqrt()
        noise: Tensor = (noisy - wanted) / sigma
        return noise


class Mine(model_base.BaseModel):
    """Of a pack."""

    def __init__(self) -> None:
        config = SimpleNamespace(
            unet_config={"width": 1},
            sampling_settings={},
            latent_format=latent_formats.Flux(),
            memory_usage_factor=1.0,
        )
        super().__init__(config, model_base.ModelType.EPS, device=None, unet_model=Net)


def test_our_ksampler_samples_a_packs_model() -> None:
    cpu = torch.device("cpu")
    patcher = model_patcher.ModelPatcher(Mine(), cpu, cpu)
    positive = prompt(1)
    result = sample_latent(
        patcher, {"samples": torch.zeros(2, 4, 8, 8)}, seed=1, steps=4, cfg=1.0,
        sampler_name="euler", scheduler="simple", positive=positive, negative=prompt(2),
    )["samples"]  # fmt: skip
    wanted = latent_formats.Flux().process_out(positive[0][0].mean())
    assert result.shape == (2, 16, 8, 8)
    assert torch.allclose(result, wanted.expand(2, 16, 8, 8), atol=1e-3)
