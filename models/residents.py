"""Which networks have their weights in memory: most recently used ones, as far as there is room."""

from __future__ import annotations

import logging
import weakref
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch

from models.devices import HOME, DeviceMemory
from models.network import Network
from models.offload import can_stream

logger = logging.getLogger(__name__)

# How much of a network's weights is to be on the device that computes: all, whatever happens; all
# if there is room; a part of what there is room for, as more room for computing; none for longer
# than a layer takes.
Share = Literal["all", "fitting", "half", "none"]
_PARTS: Final[dict[Share, float]] = {"all": 1.0, "fitting": 1.0, "half": 0.5, "none": 0.0}


@dataclass
class Counts:
    """What happened to weights since the process began."""

    loads: int = 0  # networks that were read into memory
    evictions: int = 0  # networks that made room for others, or were freed
    streamed: int = 0  # times that a network was made to stream its weights, for want of room
    loaded_bytes: int = 0


class Residents:
    """The networks whose weights are in some memory, least recently used first.

    Weights are told apart by the Network that holds them: handles that share one share its place.
    Networks that nobody else holds any more are forgotten.
    """

    def __init__(self, *memories: DeviceMemory, share: Share = "fitting") -> None:
        self.counts = Counts()
        self._memories = {memory.device: memory for memory in memories}
        self._share = share
        self._networks: OrderedDict[int, weakref.ref[Network[Any]]] = OrderedDict()
        self._held: Counter[int] = Counter()  # those that compute just now

    @contextmanager
    def using(self, network: Network[Any], device: torch.device) -> Iterator[None]:
        """`use`, and it stays for as long as this lasts."""
        self.use(network, device)
        self._held[id(network)] += 1
        try:
            yield
        finally:
            self._held[id(network)] -= 1
            if not self._held[id(network)]:
                del self._held[id(network)]

    def __len__(self) -> int:
        return sum(1 for _ in self.networks())

    def networks(self, device: torch.device | None = None) -> Iterator[Network[Any]]:
        """Those in memory, least recently used first; of one device, or of all."""
        for reference in list(self._networks.values()):  # may be asked from another thread
            network = reference()
            if network is None or network.is_resting:
                continue
            if device is None or network.device == device:
                yield network

    def _forget_others(self) -> None:
        """Have no more on the list than networks in memory."""
        for key, reference in list(self._networks.items()):
            network = reference()
            if network is None or network.is_resting:
                del self._networks[key]

    def bytes_on(self, device: torch.device) -> int:
        """Bytes of weights in a device's memory."""
        return sum(network.bytes_on(device) for network in self.networks())

    def memory(self, device: torch.device) -> DeviceMemory | None:
        """What is known of a device's memory."""
        return self._memories.get(device)

    def use(self, network: Network[Any], device: torch.device) -> None:
        """Have `network` on `device` before it computes; others make room for it.

        One that does not fit in alone streams weights from home while it computes.
        """
        if network.is_resting or network.device != device:
            self._load(network, device)
        self._networks[id(network)] = weakref.ref(network)
        self._networks.move_to_end(id(network))

    def _load(self, network: Network[Any], device: torch.device) -> None:
        self._forget_others()
        size = network.size()
        self.free(size, device, keep=(network,))
        room = int(self._room(device) * _PARTS[self._share])
        if device == HOME or self._share == "all" or size <= room or not can_stream(network.module):
            network.place(device)
        else:
            self.free(size - max(0, room), HOME, keep=(network,))  # where the rest of it waits
            self._stream(network, device, room)
        self.counts.loads += 1
        self.counts.loaded_bytes += size
        logger.info("loaded %s, %d MB, on %s", _name(network), size // 10**6, device)

    def _stream(self, network: Network[Any], device: torch.device, budget: int) -> None:
        network.stream(device, max(0, budget))
        self.counts.streamed += 1
        there = network.bytes_on(device) // 10**6
        logger.info("%s streams its weights: %d MB stay on %s", _name(network), there, device)

    def stream_more(self, network: Network[Any]) -> bool:
        """Have a network take less of its device's memory; False if it cannot."""
        device = network.device
        if network.is_resting or device == HOME or not can_stream(network.module):
            return False
        there = network.bytes_on(device)
        budget = 0 if network.is_streaming else network.size() // 2
        network.rest()
        self.empty_cache(device)
        self._stream(network, device, budget)
        return network.bytes_on(device) < there

    def free(
        self, wanted: int, device: torch.device, keep: Collection[Network[Any]] = ()
    ) -> list[Network[Any]]:
        """Have networks rest, least recently used first, until so much is free; which ones."""
        gone = []
        for network in self.networks(device):
            if self._room(device) >= wanted:
                break
            if id(network) not in self._held and not any(network is kept for kept in keep):
                self.evict(network)
                gone.append(network)
        return gone

    def make_alone(self, network: Network[Any], device: torch.device) -> None:
        """Have every other network leave a device."""
        for other in self.networks(device):
            if other is not network and id(other) not in self._held:
                self.evict(other)
        self.empty_cache(device)

    def _room(self, device: torch.device) -> int:
        memory = self._memories.get(device)
        return 2**63 if memory is None else memory.room(self.bytes_on(device))

    def evict(self, network: Network[Any]) -> None:
        """Have a network rest: its weights are read from the file when it is used again."""
        if self._networks.pop(id(network), None) is None:
            return
        device = network.device
        network.rest()
        self.counts.evictions += 1
        logger.info("%s makes room on %s", _name(network), device)
        self.empty_cache(device)

    def empty_cache(self, device: torch.device) -> None:
        """Give unused memory of a device back."""
        memory = self._memories.get(device)
        if memory is not None:
            memory.empty_cache()

    def unload_all(self) -> None:
        """Have every network rest and give the memory back to the system."""
        for network in list(self.networks()):
            self.evict(network)
        for memory in self._memories.values():
            memory.empty_cache()


def _name(network: Network[Any]) -> str:
    return type(network.module).__name__
