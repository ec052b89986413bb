"""Training in several processes of one thread each that average their gradients.

Two processes wait for each other once a step; two threads would in every operation, which is slow
on a machine that does other work too.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

PROCESSES = 2


def join(rank: int, meeting: Path) -> None:
    """Meet the other processes over the file `meeting`."""
    torch.set_num_threads(1)
    address = f"file://{meeting.resolve()}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=PROCESSES)


def leave() -> None:
    """Wait until every process is done, then part."""
    dist.barrier()
    dist.destroy_process_group()


def average_gradients(model: nn.Module) -> None:
    """Average the gradients over the processes that train together."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def agree(wish: bool) -> bool:
    """Whether any of the processes wishes so; all get the same answer."""
    if not dist.is_initialized():
        return wish
    votes = torch.tensor([float(wish)])
    dist.all_reduce(votes)
    return votes.item() > 0
