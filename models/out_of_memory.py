"""What happens when memory runs out in a computation: a ladder, all of whose rungs are here.

1. Everything else leaves the device, and the computation is tried again.
2. It is made in smaller pieces: both sides of the prompt apart, pictures one by one or in tiles.
3. The network streams half of its weights from home, then all of them.
4. The error goes on; who runs the prompt adds advice to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from models.devices import empty_cache
from models.errors import is_out_of_memory
from models.network import Network
from models.residents import Residents

logger = logging.getLogger(__name__)

T = TypeVar("T")
C = TypeVar("C")


class Relief(Protocol):
    """Ways to more memory for one network."""

    def free_others(self) -> None:
        """Have all other networks leave the device, and unused memory given back."""

    def take_less(self) -> bool:
        """Have the network itself take less of the device; False if it cannot."""


@dataclass(frozen=True)
class NetworkRelief:
    """The relief that residents give."""

    residents: Residents
    network: Network[Any]
    device: torch.device

    def free_others(self) -> None:
        """Have all other networks leave the device, and unused memory given back."""
        self.residents.make_alone(self.network, self.device)

    def take_less(self) -> bool:
        """Have the network stream half of its weights, or all of them."""
        return self.residents.stream_more(self.network)


class NoRelief:
    """Of models that are not ours: unused memory is given back, no more."""

    def free_others(self) -> None:
        """Give unused memory back."""
        if torch.cuda.is_available():
            empty_cache(torch.device("cuda"))

    def take_less(self) -> bool:
        """It cannot."""
        return False


def relief_of(model: Any) -> Relief:
    """That of a model handle, a model as packs see it, or any other."""
    owner = getattr(model, "diffusion_model", model)
    network, policy = getattr(owner, "network", None), getattr(owner, "policy", None)
    if not isinstance(network, Network) or policy is None:
        return NoRelief()
    return NetworkRelief(policy.residents, network, policy.device)


def first_that_fits(attempts: Iterable[tuple[str, Callable[[], T]]]) -> T:
    """The result of the first attempt that memory suffices for; raises the last one's error.

    Attempts have names for the log. What an attempt needs done before it is done when it is asked
    for: after the former one has failed, and what that held is free.
    """
    failure: Exception | None = None
    for name, attempt in attempts:
        if failure is not None:
            logger.warning("memory ran out; trying again %s", name)
        try:
            return attempt()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            failure = error
        # Its frames hold on to what was computed.
        failure = failure.with_traceback(None)
        failure.__context__ = None
    assert failure is not None
    raise failure


def whole_or_in_tiles(whole: Callable[[], T], tiled: Callable[[], T], relief: Relief) -> T:
    """A computation as a whole if memory suffices, else in tiles."""

    def attempts() -> Iterator[tuple[str, Callable[[], T]]]:
        yield "as a whole", whole
        relief.free_others()
        yield "with nothing else on the device", whole
        yield "in tiles", tiled
        while relief.take_less():
            yield "in tiles, with fewer weights on the device", tiled

    return first_that_fits(attempts())


@dataclass(frozen=True)
class Pieces(Generic[C]):
    """A call cut into smaller ones."""

    calls: Sequence[C]
    join: Callable[[Sequence[Sequence[Tensor]]], Sequence[Tensor]]  # results of all -> of the whole


def one_after_another(results: Sequence[Sequence[Tensor]]) -> Sequence[Tensor]:
    """Joins pieces that have some of the results each."""
    return [result for piece in results for result in piece]


@dataclass
class StepLadder(Generic[C]):
    """Evaluates a model's calls; remembers what was too large, so that no step tries it again."""

    cut: Callable[[C], Pieces[C]]  # one call if it cannot be cut
    size: Callable[[C], int]  # how many latents go through the model
    relief: Relief
    too_large: int | None = None

    def evaluate(self, call: C, run: Callable[[C], Sequence[Tensor]]) -> Sequence[Tensor]:
        """The results of a call; raises the error of the last rung."""
        return first_that_fits(self._attempts(call, run))

    def _attempts(
        self, call: C, run: Callable[[C], Sequence[Tensor]]
    ) -> Iterator[tuple[str, Callable[[], Sequence[Tensor]]]]:
        def whole() -> Sequence[Tensor]:
            return run(call)

        size = self.size(call)
        if self.too_large is None or size < self.too_large:
            yield "as a whole", whole
            self.relief.free_others()
            yield "with nothing else on the device", whole
        pieces = self.cut(call)
        if len(pieces.calls) > 1:
            self.too_large = min(size, self.too_large or size)
            yield "in pieces", lambda: pieces.join([self.evaluate(c, run) for c in pieces.calls])
            return
        while self.relief.take_less():
            yield "with fewer weights on the device", whole
