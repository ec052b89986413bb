"""The starter model's autoencoder: its shape, its training and the normalisation of its latents."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

from models.starter.parallel import average_gradients

SCALE_FACTOR = 0.18215  # of every SD1 latent: model space = SCALE_FACTOR * z
KL_WEIGHT = 2e-4
VAE_GROUPS = 8
CROP = 64
REFINE_RATE = 1.2e-3
REFINE_NOISE = 0.05  # deviation, in model space
POLISH_RATE = 6e-4
POLISH_NOISE = 0.06  # deviation, in model space

Pictures = npt.NDArray[np.uint8]  # n h w 3


def build_vae() -> AutoencoderKL:
    """An untrained SD1-shaped autoencoder: four levels, one block each, four latent channels."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64, 96),
        layers_per_block=1,
        norm_num_groups=VAE_GROUPS,
        latent_channels=4,
        sample_size=128,
        scaling_factor=SCALE_FACTOR,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


def to_tensor(pictures: Pictures) -> Tensor:
    """uint8 n h w 3 to float n 3 h w in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).contiguous()


def to_pictures(images: Tensor) -> Pictures:
    """float n 3 h w in -1..1 to uint8 n h w 3."""
    scaled = images.detach().float().clamp(-1, 1).add(1).mul(127.5).round()
    pictures: Pictures = scaled.permute(0, 2, 3, 1).to(torch.uint8).numpy()
    return pictures


def _slopes(images: Tensor) -> tuple[Tensor, Tensor]:
    return images[..., 1:] - images[..., :-1], images[..., 1:, :] - images[..., :-1, :]


def picture_loss(decoded: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """(absolute and squared error plus the error of the slopes, absolute error alone)."""
    absolute = F.l1_loss(decoded, images)
    slopes = sum(F.l1_loss(a, b) for a, b in zip(_slopes(decoded), _slopes(images), strict=True))
    return absolute + F.mse_loss(decoded, images) + slopes, absolute


def vae_loss(vae: AutoencoderKL, images: Tensor) -> tuple[Tensor, Tensor]:
    """(error of the decoded pictures plus KL, mean absolute error)."""
    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(images).latent_dist
        decoded = vae.decode(posterior.sample()).sample
    loss, absolute = picture_loss(decoded.float(), images)
    kl = posterior.kl().mean() / posterior.mean[0].numel()
    return loss + KL_WEIGHT * kl, absolute


def _batch(pictures: Pictures, full: bool, rng: np.random.Generator, crops: int = 16) -> Tensor:
    size = pictures.shape[1]
    chosen = rng.integers(0, len(pictures), size=crops // 4 if full else crops)
    if full:
        return to_tensor(pictures[np.sort(chosen)])
    patches = []
    for i in chosen:
        y, x = rng.integers(0, size - CROP + 1, size=2)
        patches.append(pictures[i, y : y + CROP, x : x + CROP])
    return to_tensor(np.stack(patches))


def train_vae(
    pictures: Pictures, steps: int, checkpoint: Path, log: Callable[[str], None]
) -> AutoencoderKL:
    """Train for `steps` steps, the last fifth on whole pictures; resumes from `checkpoint`."""
    torch.manual_seed(11)
    vae = build_vae()
    averaged = build_vae()
    averaged.load_state_dict(vae.state_dict())
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1.5e-3, betas=(0.9, 0.99), weight_decay=1e-3)
    start = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        vae.load_state_dict(saved["model"])
        averaged.load_state_dict(saved["averaged"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    begun, seen = time.monotonic(), 0.0
    for step in range(start, steps):
        rate = min(1.0, (step + 1) / 200) * min(1.0, 0.02 + (steps - step) / (0.4 * steps))
        for group in optimizer.param_groups:
            group["lr"] = 1.5e-3 * rate
        rng = np.random.default_rng((11, step))
        loss, absolute = vae_loss(vae, _batch(pictures, step >= 0.8 * steps, rng))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        keep = min(0.998, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, now in zip(averaged.parameters(), vae.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        seen = absolute.item() if step == start else 0.98 * seen + 0.02 * absolute.item()
        if (step + 1) % 100 == 0 or step + 1 == steps:
            log(f"vae {step + 1} l1 {seen:.4f} {(time.monotonic() - begun):.0f}s")
        if (step + 1) % 500 == 0 or step + 1 == steps:
            state = {"model": vae.state_dict(), "averaged": averaged.state_dict()}
            torch.save({**state, "optimizer": optimizer.state_dict(), "step": step + 1}, checkpoint)
    return averaged.eval()


@torch.no_grad()
def encode_means(vae: AutoencoderKL, pictures: Pictures, batch: int = 32) -> Tensor:
    """The mean latents z of every picture, float32 n 4 h/8 w/8."""
    means = []
    for begin in range(0, len(pictures), batch):
        with torch.autocast("cpu", torch.bfloat16):
            dist = vae.encode(to_tensor(pictures[begin : begin + batch])).latent_dist
        means.append(dist.mean.float())
    return torch.cat(means)


@torch.no_grad()
def normalise(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Fold the channels' mean and deviation into the 1x1 convolutions around the latent.

    Afterwards SCALE_FACTOR * z has zero mean and unit deviation per channel, as SD1 samplers
    expect, and pictures decode as before. Returns the given latents moved to the new space.
    """
    mean = latents.mean(dim=(0, 2, 3))
    deviation = latents.std(dim=(0, 2, 3))
    gain = 1.0 / (deviation * SCALE_FACTOR)
    quant, post = vae.quant_conv, vae.post_quant_conv
    quant.weight[:4] *= gain[:, None, None, None]
    quant.bias[:4] = (quant.bias[:4] - mean) * gain
    # A sample is the mean with the noise that `refine_vae` trains the decoder with.
    quant.weight[4:] = 0
    quant.bias[4:] = 2 * math.log(REFINE_NOISE / SCALE_FACTOR)
    post.bias += (post.weight[:, :, 0, 0] * mean).sum(dim=1)
    post.weight /= gain[None, :, None, None]
    return (latents - mean[:, None, None]) * gain[:, None, None]


@torch.no_grad()
def wake_channels(vae: AutoencoderKL, latents: Tensor) -> None:
    """Give channels that the KL term put to sleep a voice in the decoder again.

    Takes the latents before `normalise`; a sleeping channel's deviation is far below the others'.
    """
    deviation = latents.std(dim=(0, 2, 3))
    normalise(vae, latents)
    weight = vae.post_quant_conv.weight
    asleep = deviation < 0.2 * deviation.max()
    weight[:, asleep] = 0.3 * weight[:, ~asleep].std() * torch.randn_like(weight[:, asleep])


def refine_loss(vae: AutoencoderKL, images: Tensor) -> tuple[Tensor, Tensor]:
    """(loss, mean absolute error) with the mean latent plus slight noise in place of a sample."""
    with torch.autocast("cpu", torch.bfloat16):
        mean = vae.encode(images).latent_dist.mean
        noise = torch.randn_like(mean) * (REFINE_NOISE / SCALE_FACTOR)
        decoded = vae.decode(mean + noise).sample
    loss, absolute = picture_loss(decoded.float(), images)
    return loss + 2e-4 * (SCALE_FACTOR * mean.float()).square().mean(), absolute


def refine_vae(
    vae: AutoencoderKL,
    pictures: Pictures,
    steps: int,
    rank: int,
    checkpoint: Path,
    log: Callable[[str], None],
) -> None:
    """Go on without the KL term, in processes that average gradients; resumes from `checkpoint`."""
    averaged = copy.deepcopy(vae)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=REFINE_RATE, betas=(0.9, 0.99), fused=True)
    start = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        vae.load_state_dict(saved["model"])
        averaged.load_state_dict(saved["averaged"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    seen = 0.0
    for step in range(start, steps):
        rate = min(1.0, (step + 1) / 50, 0.02 + (steps - step) / (0.6 * steps))
        for group in optimizer.param_groups:
            group["lr"] = REFINE_RATE * rate
        torch.manual_seed(1_000_003 * rank + step)
        rng = np.random.default_rng((12, step, rank))
        loss, absolute = refine_loss(vae, _batch(pictures, step >= 0.9 * steps, rng, crops=8))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        average_gradients(vae)
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            pairs = (list(averaged.parameters()), list(vae.parameters()))
            torch._foreach_lerp_(*pairs, 1 - min(0.995, (step + 1) / (step + 10)))
        seen = absolute.item() if step == start else 0.98 * seen + 0.02 * absolute.item()
        if (step + 1) % 50 == 0:
            log(f"refine {step + 1} l1 {seen:.4f}")
        if rank == 0 and ((step + 1) % 200 == 0 or step + 1 == steps):
            state = {"model": vae.state_dict(), "averaged": averaged.state_dict()}
            torch.save({**state, "optimizer": optimizer.state_dict(), "step": step + 1}, checkpoint)


def polish_decoder(
    pictures: Pictures,
    steps: int,
    source: Path,
    checkpoint: Path,
    log: Callable[[str], None],
) -> AutoencoderKL:
    """Train the decoder alone on slightly noisy latents, whole pictures; resumes from `checkpoint`.

    The encoder, and so the latent space that the denoiser knows, stays as it is.
    """
    torch.manual_seed(13)
    vae = build_vae()
    saved = torch.load(checkpoint if checkpoint.exists() else source, weights_only=True)
    start = saved["step"] if checkpoint.exists() else 0
    vae.load_state_dict(saved["model"] if checkpoint.exists() else saved)
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    trained = [p for p in vae.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=POLISH_RATE, betas=(0.9, 0.99), fused=True)
    seen = 0.0
    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = POLISH_RATE * min(
                1.0, (step + 1 - start) / 50, 0.02 + (steps - step) / (0.7 * steps)
            )
        rng = np.random.default_rng((13, step))
        images = to_tensor(pictures[np.sort(rng.integers(0, len(pictures), size=8))])
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                latents = vae.encode(images).latent_dist.mean
                latents = latents + torch.randn_like(latents) * (POLISH_NOISE / SCALE_FACTOR)
            decoded = vae.decode(latents).sample
        loss, absolute = picture_loss(decoded.float(), images)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        seen = absolute.item() if step == start else 0.98 * seen + 0.02 * absolute.item()
        if (step + 1) % 50 == 0:
            log(f"polish {step + 1} l1 {seen:.4f}")
        if (step + 1) % 250 == 0 or step + 1 == steps:
            torch.save({"model": vae.state_dict(), "step": step + 1}, checkpoint)
    return vae.eval()
