"""The starter model's denoiser and text encoder: their shape and training on cached latents."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from models.starter.attention import CpuAttention
from models.starter.parallel import agree, average_gradients
from models.starter.wording import END, LENGTH, START, disturb

TEXT_WIDTH, TEXT_HEADS = 64, 4
UNET_HEADS, UNET_GROUPS = 4, 8
BATCH = 16  # per process
PEAK_RATE = 6e-4


def alphas_cumprod() -> Tensor:
    """SD1's noise schedule: scaled-linear betas, 1000 steps, float64."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


def build_unet() -> UNet2DConditionModel:
    """An untrained SD1-shaped denoiser of four levels with one block each."""
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(64, 96, 128, 96),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=UNET_HEADS,  # diffusers' old name for the number of heads
        norm_num_groups=UNET_GROUPS,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )


def build_text_encoder(vocabulary: int, start: int = START, end: int = END) -> CLIPTextModel:
    """An untrained CLIP text encoder of two layers."""
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=TEXT_HEADS,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        projection_dim=TEXT_WIDTH,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
    )
    encoder = CLIPTextModel(config)
    nn.init.normal_(encoder.get_input_embeddings().weight, std=0.5)
    return encoder


class Denoiser(nn.Module):
    """Text encoder and UNet as one: predicts the noise in `noisy` given compact caption ids."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.text = build_text_encoder(vocabulary)
        self.unet = build_unet()

    def forward(self, noisy: Tensor, times: Tensor, captions: Tensor) -> Tensor:
        """noisy n 4 h w, times int n, captions int n 77 -> n 4 h w."""
        states = self.text(captions).last_hidden_state
        noise: Tensor = self.unet(noisy, times, encoder_hidden_states=states).sample
        return noise


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to train; the learning rate falls to zero over the last `decay` steps."""

    steps: int
    decay: int
    warmup: int = 300

    def rate(self, step: int) -> float:
        """The learning rate at a step."""
        rise = min(1.0, (step + 1) / self.warmup)
        fall = min(1.0, max(0.0, (self.steps - step) / self.decay))
        return PEAK_RATE * rise * fall


def diffusion_loss(
    model: Callable[[Tensor, Tensor, Tensor], Tensor],
    latents: Tensor,
    captions: Tensor,
    rng: np.random.Generator,
) -> Tensor:
    """Noise-prediction error, weighted by the signal-to-noise ratio.

    As min-SNR-5 for the velocity (Hang et al. 2023, arXiv 2303.09556), but bounded for much noise,
    of which it draws more: there the prompt decides what the picture shows.
    """
    count = len(latents)
    spread = ((np.arange(count) + rng.random(count)) / count) ** 0.75
    times = torch.from_numpy((spread * 1000).astype(np.int64))
    signal = alphas_cumprod()[times].float()
    noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
    shape = (count, 1, 1, 1)
    noisy = signal.sqrt().view(shape) * latents + (1 - signal).sqrt().view(shape) * noise
    with torch.autocast("cpu", torch.bfloat16):
        predicted = model(noisy, times, disturb(captions, rng))
    ratio = signal / (1 - signal)
    weight = torch.clamp((ratio.clamp(max=5.0) + 1) / ratio / 3, max=4.0)
    errors = (predicted.float() - noise).square().mean(dim=(1, 2, 3))
    mean: Tensor = (weight * errors).mean()
    return mean


@dataclasses.dataclass
class Training:
    """A denoiser with its moving average and optimizer, saved and resumed as one."""

    model: Denoiser
    averaged: Denoiser
    optimizer: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def begin(cls, vocabulary: int, checkpoint: Path) -> Training:
        """Resume from `checkpoint` or start anew."""
        torch.manual_seed(23)
        model = Denoiser(vocabulary)
        averaged = copy.deepcopy(model)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        training = cls(model, averaged, optimizer)
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            model.load_state_dict(saved["model"])
            averaged.load_state_dict(saved["averaged"])
            optimizer.load_state_dict(saved["optimizer"])
            training.step = saved["step"]
        return training

    def save(self, checkpoint: Path) -> None:
        """Write everything that resuming needs, all at once."""
        partial = checkpoint.with_suffix(".partial")
        state = {"model": self.model.state_dict(), "averaged": self.averaged.state_dict()}
        torch.save({**state, "optimizer": self.optimizer.state_dict(), "step": self.step}, partial)
        partial.rename(checkpoint)

    def update(self, loss: Tensor, rate: float) -> None:
        """One step down the gradient; the average follows, faster at first."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        average_gradients(self.model)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(0.9992, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()), list(self.model.parameters()), 1 - keep
            )


def train_diffusion(
    training: Training,
    latents: Tensor,
    captions: Tensor,
    plan: Plan,
    rank: int,
    log: Callable[[str], None],
    at_save: Callable[[Training], None],
    should_end: Callable[[], bool],
) -> None:
    """Train until `plan.steps`, or until `should_end` and then through the decay of the rate.

    `at_save` runs every 500 steps.

    latents float n 4 h w in model space; captions int n k 77, k wordings for each picture.
    """
    training.model.unet.set_attn_processor(CpuAttention())
    compiled = torch.compile(training.model)
    begun, mean = time.monotonic(), 1.0
    while training.step < plan.steps:
        rng = np.random.default_rng((23, training.step, rank))
        chosen = rng.integers(0, len(latents), size=BATCH)
        wording = rng.integers(0, captions.shape[1], size=BATCH)
        loss = diffusion_loss(
            compiled, latents[chosen].float(), captions[chosen, wording].long(), rng
        )
        training.update(loss, plan.rate(training.step))
        mean = 0.99 * mean + 0.01 * loss.item()
        if training.step % 50 == 0:
            if training.step < plan.steps - plan.decay and agree(should_end()):
                plan = dataclasses.replace(plan, steps=training.step + plan.decay)
                log(f"diffusion ends at {plan.steps}")
            log(f"diffusion {training.step} loss {mean:.4f} {time.monotonic() - begun:.0f}s")
        if training.step % 500 == 0 or training.step == plan.steps:
            at_save(training)
