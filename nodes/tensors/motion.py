"""First frames whose features move along tracks, in the latents of a film.

Latents are [1, C, t, h, w]; the first latent frame stands for one frame, each other one for
`FRAMES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from nodes.tensors.tracks import Tracks

FRAMES: Final = 4  # that a latent frame stands for, after the first


def copied_along(latent: Tensor, tracks: Tracks, scale: int, strength: float) -> Tensor:
    """The latent with features of its first frame where points of them go later.

    Wan-Move (Chu et al. 2025, arXiv:2512.08765): a point of a latent frame is the mean of those of
    its frames, divided by the `scale` of pixels to latent elements; the feature at its place in the
    first frame takes the place, by `strength`, of what is there. Of points that meet, that of the
    first track counts; those that are unseen, or outside, move nothing.
    """
    moved = latent.clone()
    t, h, w = latent.shape[2:]
    places, seen = _by_latent_frame(tracks.of_length((t - 1) * FRAMES + 1))
    x, y = (places / scale).floor().long().unbind(-1)  # t n
    there = seen & (x >= 0) & (y >= 0) & (x < w) & (y < h)
    for track in reversed(range(there.shape[1])):
        if not there[0, track]:
            continue
        later = there[1:, track].nonzero().flatten() + 1
        target = (..., later, y[later, track], x[later, track])
        source = latent[..., 0, y[0, track], x[0, track]][..., None]
        moved[target] = torch.lerp(latent[target], source.expand_as(latent[target]), strength)
    return moved


def _by_latent_frame(tracks: Tracks) -> tuple[Tensor, Tensor]:
    """Places [t, n, 2], the means of what is seen, and whether anything is [t, n]."""
    path = tracks.path[1:].reshape(-1, FRAMES, *tracks.path.shape[1:])
    seen = tracks.seen[1:].reshape(-1, FRAMES, tracks.seen.shape[1])
    count = seen.sum(1)
    means = (path * seen[..., None]).sum(1) / count.clamp(min=1)[..., None]
    places = torch.cat([tracks.path[:1], means])
    return places, torch.cat([tracks.seen[:1], count > 0])


def spread_along(
    latent: Tensor,
    tracks: Sequence[Tensor],
    size: tuple[int, int],
    *,
    temperature: float,
    strongest: int,
) -> tuple[Tensor, Tensor]:
    """(latent, weights [1, 1, t, h, w]) with features of the first frame around later points.

    ATI (Wang et al. 2025, arXiv:2505.22944): around each point of a track, the feature f at its
    beginning counts with ``exp(-temperature d^2)`` at distance d, in halves of the shorter side:
    ``sum(w f) + (1 - sum w) z`` over the `strongest` points of each latent element z. `latent` is
    in the space of the model, `tracks` [T, 2] are in pixels of a film of `size` (width, height);
    each is brought to the length of the film.
    """
    t, h, w = latent.shape[2:]
    frames = torch.stack([_sampled(track, (t - 1) * FRAMES + 1) for track in tracks], dim=1)
    short = min(size)
    places = (frames - torch.tensor(size) / 2) / short * 2  # T n 2, the shorter side is -1..1
    means = places[1:].reshape(t - 1, FRAMES, -1, 2).mean(1)
    edges = [side / min(h, w) for side in (w, h)]
    grid = torch.stack(
        torch.meshgrid(
            torch.linspace(-edges[0], edges[0], w),
            torch.linspace(-edges[1], edges[1], h),
            indexing="xy",
        ),
        dim=-1,
    )  # h w 2
    distances = (means[:, None, None] - grid[None, :, :, None]).square().sum(-1)  # t-1 h w n
    weights = torch.exp(-temperature * distances)
    kept, which = weights.topk(min(strongest, weights.shape[-1]), dim=-1)
    starts = (places[0] / torch.tensor(edges)).clamp(-1, 1)  # n 2
    features = functional.grid_sample(
        latent[:, :, 0], starts[None, None].to(latent), align_corners=False
    )[0, :, 0]  # c n
    shown = (features[:, which] * kept).sum(-1)  # c t-1 h w
    total = kept.sum(-1)  # t-1 h w
    later = shown[None] + latent[:, :, 1:] * (1 - total)
    moved = torch.cat([latent[:, :, :1], later], dim=2)
    whole = torch.cat([torch.ones(1, h, w), total])
    return moved, whole[None, None]


def _sampled(track: Tensor, length: int) -> Tensor:
    """Points of a track at evenly spaced times, [length, 2]: as for other frames a second."""
    if length == 1 or len(track) == 1:
        return track[:1].expand(length, -1)
    return track[torch.arange(length) * (len(track) - 1) // (length - 1)]
