"""Training: the adapter learns to say of noisy latents what the network should say of them.

The network says noise (Ho et al. 2020), v (Salimans & Ho 2022) or a velocity (Lipman et al. 2023),
and the loss compares that, whatever its parametrisation. Noise levels are drawn evenly along the
model's own schedule, with what nodes have made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from models.errors import InvalidInput
from models.gradients import with_gradients
from models.lora.files import Parts
from models.network import Network
from models.sampling.calls import about_to_call
from models.training.adapters import Adapter
from models.training.examples import Batch, draws, examples_of, joined
from models.training.layers import (
    for_autograd,
    hooked,
    known_groups,
    tensors_of,
    trained_layers,
    weights_for_autograd,
)
from models.training.new_parts import Algorithm, new_parts

Loss = Literal["MSE", "L1", "Huber", "SmoothL1"]
Optimizer = Literal["AdamW", "Adam", "SGD", "RMSprop"]

_LOSSES: Final[Mapping[Loss, Callable[[Tensor, Tensor], Tensor]]] = {
    "MSE": F.mse_loss,
    "L1": F.l1_loss,
    "Huber": F.huber_loss,
    "SmoothL1": F.smooth_l1_loss,
}
_OPTIMIZERS: Final[Mapping[Optimizer, Callable[..., torch.optim.Optimizer]]] = {
    "AdamW": torch.optim.AdamW,
    "Adam": torch.optim.Adam,
    "SGD": torch.optim.SGD,
    "RMSprop": torch.optim.RMSprop,
}


@dataclass(frozen=True, kw_only=True)
class Course:
    """How an adapter is trained."""

    steps: int  # of the optimizer
    batch_size: int = 1
    accumulated: int = 1  # batches a step
    learning_rate: float = 5e-4
    rank: int = 8
    algorithm: Algorithm = "LoRA"
    optimizer: Optimizer = "AdamW"
    loss: Loss = "MSE"
    seed: int = 0
    dtype: torch.dtype | None = None  # that the network computes in; None: its own
    adapter_dtype: torch.dtype = torch.float32
    saves_memory: bool = True  # by computing what gradients need a second time
    by_size: bool = False  # each batch is drawn from one of the groups that latents come in


@dataclass(frozen=True, kw_only=True)
class TrainedAdapter:
    """What came out."""

    tensors: dict[str, Tensor]  # under the names of LoRA files, on the CPU
    losses: list[float]  # of each step


def train(
    model: Any,
    latents: Sequence[Tensor],
    conditionings: Sequence[Any],
    course: Course,
    *,
    progress: Callable[[int, int, float], None],
    start: Mapping[str, Parts] | None = None,
) -> TrainedAdapter:
    """Train an adapter of a MODEL value on raw latents [B, C, ...] and their CONDITIONINGs.

    `start` has the tensors of a LoRA to go on from; its algorithm and ranks stay. `progress` gets
    the step, their number and the loss, and may raise to end the training. The model is as it was
    afterwards. Raises InvalidInput for examples or a `start` that do not go with the model.
    """
    with with_gradients():
        chance = torch.Generator().manual_seed(course.seed)
        groups = examples_of(model, for_autograd(latents), for_autograd(conditionings))
        if not course.by_size:
            groups = [[example for group in groups for example in group]]
        with _ready(model, course):
            layers = trained_layers(model.network)
            adapters = _adapters(model.network, layers, course, for_autograd(start), chance)
            for adapter in adapters.values():
                adapter.to(model.load_device)
            with hooked(layers, adapters):
                batches = draws(groups, course.batch_size, chance)
                losses = list(_steps(model, adapters, batches, course, chance, progress))
    parts = {
        name: {kind: tensor.detach().cpu().contiguous() for kind, tensor in adapter.parts.items()}
        for name, adapter in adapters.items()
    }
    return TrainedAdapter(tensors=tensors_of(parts), losses=losses)


def _adapters(
    network: Network[Any],
    layers: Mapping[str, Any],
    course: Course,
    start: Mapping[str, Parts] | None,
    chance: Generator,
) -> dict[str, Adapter]:
    if start is not None:
        found = known_groups(network, start)
    else:
        found = {
            name: new_parts(course.algorithm, layer.weight.shape, course.rank, chance)
            for name, layer in layers.items()
        }
    return {name: Adapter(parts, course.adapter_dtype) for name, parts in found.items()}


@contextmanager
def _ready(model: Any, course: Course) -> Iterator[None]:
    """The model's network in place, with its patches, for computations with gradients."""
    denoiser, network, policy = model.model.diffusion_model, model.network, model.policy
    with ExitStack() as stack:
        stack.callback(model.unpatch_model)  # also of what was patched before memory ran out
        model.patch_model()
        before = denoiser.compute_dtype, denoiser.compiled_by
        denoiser.compute_dtype, denoiser.compiled_by = course.dtype, None
        stack.callback(_restore, denoiser, *before)
        network.compute_in(course.dtype)
        stack.enter_context(policy.residents.using(network, policy.device))
        if network.is_streaming:
            raise InvalidInput(
                "the model does not fit into the memory of its device, so that it cannot be "
                "trained there; free some, or keep its weights in 8 bits"
            )
        stack.enter_context(weights_for_autograd(network.module))
        if course.saves_memory and network.module._supports_gradient_checkpointing:  # diffusers'
            network.module.enable_gradient_checkpointing()
            stack.callback(network.module.disable_gradient_checkpointing)
        yield


def _restore(denoiser: Any, compute_dtype: Any, compiled_by: Any) -> None:
    denoiser.compute_dtype, denoiser.compiled_by = compute_dtype, compiled_by


def _steps(
    model: Any,
    adapters: Mapping[str, Adapter],
    batches: Iterator[Any],
    course: Course,
    chance: Generator,
    progress: Callable[[int, int, float], None],
) -> Iterator[float]:
    """Take the steps; their losses."""
    weights = [weight for adapter in adapters.values() for weight in adapter.parameters()]
    optimizer = _OPTIMIZERS[course.optimizer](weights, lr=course.learning_rate)
    examples = course.batch_size * course.accumulated
    for step in range(1, course.steps + 1):
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(course.accumulated):
            for batch in joined(next(batches)):
                about_to_call()
                share = len(batch.latents) / examples
                loss = _loss(model, batch, _LOSSES[course.loss], chance) * share
                loss.backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
        if not torch.isfinite(torch.tensor(total)):
            raise InvalidInput(
                f"the loss of step {step} is {total}: use a lower learning rate, or fp32"
            )
        optimizer.step()
        progress(step, course.steps, total)
        yield total


def _loss(
    model: Any, batch: Batch, compare: Callable[[Tensor, Tensor], Tensor], chance: Generator
) -> Tensor:
    """How far what the network says is from what it should say, over a batch."""
    base, clean = model.model, batch.latents
    sampling = base.model_sampling
    percents = torch.rand(len(clean), generator=chance).clamp(1e-6, 1 - 1e-6).tolist()
    levels = [float(sampling.percent_to_sigma(percent)) for percent in percents]
    sigmas = torch.tensor(levels, device=clean.device)
    noise = torch.randn(clean.shape, generator=chance).to(clean)
    noisy = sampling.noise_scaling(sigmas, noise, clean)
    options = dict(model.model_options["transformer_options"], sigmas=sigmas)
    denoised = base.apply_model(noisy, sigmas, transformer_options=options, **batch.inputs)
    # What is said counts for the clean latent times this, in every parametrisation.
    zeros = torch.zeros_like(clean)
    gain = sampling.calculate_denoised(sigmas, zeros + 1, zeros) - sampling.calculate_denoised(
        sigmas, zeros, zeros
    )
    return compare(denoised / gain, clean / gain)
