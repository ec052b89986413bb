"""What is learned from: latents with their prompts, and the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from models.errors import InvalidInput
from models.protocol.process import convert_cond, process_conds


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One latent [1, C, ...] in model space, and the network's other inputs as COND objects."""

    latent: Tensor
    conds: Mapping[str, Any]

    def joins(self, other: Example) -> bool:
        """Whether both may go through the network in one batch."""
        return (
            self.latent.shape == other.latent.shape
            and self.conds.keys() == other.conds.keys()
            and all(cond.can_concat(other.conds[name]) for name, cond in self.conds.items())
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Examples that go through the network together."""

    latents: Tensor  # [B, C, ...]
    inputs: Mapping[str, Any]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Batch:
        """The batch of examples that all join."""
        first, *others = examples
        return cls(
            latents=torch.cat([example.latent for example in examples]),
            inputs={
                name: cond.concat([other.conds[name] for other in others]) if others else cond.cond
                for name, cond in first.conds.items()
            },
        )


def examples_of(
    model: Any, latents: Sequence[Tensor], conditionings: Sequence[Any]
) -> list[list[Example]]:
    """Examples of raw latents [B, C, ...], those of each batch together.

    `conditionings` may be lists of such: what counts is the order. One entry is for all latents,
    else each latent has its own. Raises InvalidInput for other numbers.
    """
    entries = list(_entries(conditionings))
    total = sum(len(batch) for batch in latents)
    if len(entries) not in (1, total) or not total:
        raise InvalidInput(f"there are {total} latents to learn from, and {len(entries)} prompts")
    prompts = iter(entries * total if len(entries) == 1 else entries)
    return [[_example(model, latent[None], next(prompts)) for latent in batch] for batch in latents]


def _entries(conditionings: Sequence[Any]) -> Iterator[Any]:
    """Each [context, options] of nested lists."""
    for value in conditionings:
        is_entry = len(value) == 2 and isinstance(value[1], Mapping)
        if is_entry:
            yield value
        else:
            yield from _entries(value)


def _example(model: Any, latent: Tensor, entry: Any) -> Example:
    base, device = model.model, model.load_device
    clean = base.process_latent_in(latent.to(device, torch.float32))
    prompt = {"positive": convert_cond([entry])}
    found = process_conds(base, torch.zeros_like(clean), prompt, device)["positive"]
    if not found:
        raise InvalidInput("a prompt to learn from is for an area outside of its latent")
    conds = {
        name: cond.process_cond(batch_size=1) for name, cond in found[0]["model_conds"].items()
    }
    return Example(latent=clean, conds=conds)


def draws(
    groups: Sequence[Sequence[Example]], size: int, chance: Generator
) -> Iterator[list[Example]]:
    """`size` examples again and again, all of one group; each comes once before any comes again.

    A group's turn comes as often as it has examples.
    """
    weights = torch.tensor([float(len(group)) for group in groups])
    streams = [_shuffled(group, chance) for group in groups]
    while True:
        group = int(torch.multinomial(weights, 1, generator=chance))
        yield [next(streams[group]) for _ in range(size)]


def _shuffled(examples: Sequence[Example], chance: Generator) -> Iterator[Example]:
    while True:
        for index in torch.randperm(len(examples), generator=chance).tolist():
            yield examples[index]


def joined(examples: Sequence[Example]) -> list[Batch]:
    """As few batches as the shapes of examples allow."""
    groups: list[list[Example]] = []
    for example in examples:
        group = next((group for group in groups if group[0].joins(example)), None)
        if group is None:
            groups.append([example])
        else:
            group.append(example)
    return [Batch.of(group) for group in groups]
