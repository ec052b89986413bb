"""A network whose weights come from a mapped file, can be patched, and can move."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from models.devices import HOME
from models.errors import CheckpointUnreadable, UnsupportedLayout
from models.kept_weights import KeptWeights
from models.mapping import release_pages
from models.offload import stop_streaming, stream_weights
from models.parts import Part
from models.stored import (
    AS_COMPUTED,
    Storage,
    StoredTensor,
    WeightPatch,
    release,
    values_of,
    with_changes,
)

__all__ = ["Network", "Patches", "Storage", "WeightPatch", "assemble"]

N = TypeVar("N", bound=nn.Module)

# Weight name -> changes, in the order in which they are made.
Patches = Mapping[str, Sequence[WeightPatch]]


class Network(Generic[N]):
    """A module and the file tensors (mapped) that it was built from.

    These weights have the names of the module's parameters, or their own where several parameters
    are parts of one. The file serves as the backup of weights: patches are undone, and a module
    that is out of memory comes back, by reading it again.

    A network rests until it is placed on a device: its module then has what the file has, and
    takes no memory that the system could not take back. See models.residents for when it does what.
    """

    def __init__(
        self,
        module: N,
        source: Mapping[str, Tensor],
        dtype: torch.dtype,
        originals: Mapping[str, str] | None = None,
        parts: Mapping[str, Part] | None = None,
        storage: Storage = AS_COMPUTED,
    ) -> None:
        self.module = module
        self.storage = storage
        self._originals = originals or {}
        self.parts = parts or {}  # parameter name -> what it is of a weight; others are whole ones
        self._parameters: dict[str, list[tuple[str, Part]]] = {}  # weight name -> these
        for parameter, part in self.parts.items():
            self._parameters.setdefault(part.weight, []).append((parameter, part))
        self.dtype = dtype  # of the module's floating point weights now
        self.own_dtype = dtype  # unless a handle asks for another one
        self.device = HOME
        self.is_resting = True  # its weights are the file's: neither converted nor patched
        self.is_streaming = False  # weights wait at home and come to the device layer by layer
        self._staying = 0  # bytes of weights that do not
        self._source = source
        self._patched: dict[str, tuple[WeightPatch, ...]] = {}
        self._kept = KeptWeights(0)  # versions of weights that take turns
        # What models.protocol shows of it: handles share it, and it goes with the last of them.
        self.view: weakref.ref[nn.Module] | None = None
        self._variants: dict[Hashable, Network[N]] = {}

    def variant(self, kind: Hashable, build: Callable[[], Network[N]]) -> Network[N]:
        """Another network of these weights that `build` makes, now or when it was asked for first.

        It goes with this one.
        """
        if kind not in self._variants:
            self._variants[kind] = build()
        return self._variants[kind]

    def keep_as(self, storage: Storage) -> None:
        """Have the weights kept in another way; they are read again."""
        self.storage = storage
        self._read_again()

    def compute_in(self, dtype: torch.dtype | None) -> None:
        """Have the weights in another type (None: their own); they are read again if it changes."""
        dtype = dtype or self.own_dtype
        if dtype != self.dtype:
            self.dtype = dtype
            self._read_again()

    def _read_again(self) -> None:
        self._kept.clear()
        if self.is_streaming:
            self.rest()
        elif not self.is_resting:
            self._fill_all()

    def _fill_all(self) -> None:
        with self._or_resting():
            for name in self._source:
                self._fill(name)

    def place(self, device: torch.device) -> None:
        """Have the module on a device. Coming home to the CPU drops the copy that was away."""
        if device == self.device and not (self.is_resting or self.is_streaming):
            return
        if self.is_streaming:
            self.rest()
        must_read = self.is_resting or device == HOME
        self._kept.clear()
        self.device, self.is_resting = device, False
        with self._or_resting():
            if must_read:
                self._fill_all()
            self.module.to(device)  # buffers that are not in the file move by this, too

    def rest(self) -> None:
        """Give up all memory that weights take beside pages of the file, on any device."""
        if self.is_streaming:
            stop_streaming(self.module)
        self._kept.clear()
        self.device, self.is_resting, self.is_streaming, self._staying = HOME, True, False, 0
        for name, weight in self._source.items():
            for parameter, part in self._parts_of(name):
                _assign(self.module, parameter, part.of(weight))
        self.module.to(HOME)
        for weight in self._source.values():
            release(weight)

    def stream(self, device: torch.device, budget: int) -> None:
        """Compute on a device on which up to `budget` bytes of weights stay; others come and go."""
        self.place(HOME)
        self.device, self.is_streaming = device, True
        with self._or_resting():
            self._staying = stream_weights(self.module, device, budget)

    def patch(self, patches: Patches) -> None:
        """Have exactly these patches in the weights; those that are there already stay."""
        wanted = {name: tuple(changes) for name, changes in patches.items() if changes}
        names = [
            name
            for name in {**self._patched, **wanted}
            if self._patched.get(name) != wanted.get(name)
        ]
        if names and self.is_streaming:
            self.rest()
        before, self._patched = self._patched, wanted
        with self._or_resting():
            for name in () if self.is_resting else names:
                kept = self._kept.take(name, wanted.get(name, ()))
                self._kept.keep(name, before.get(name, ()), self._present(name))
                if kept is None:
                    self._fill(name)
                for parameter, value in kept or ():
                    _assign(self.module, parameter, value)

    @contextmanager
    def _or_resting(self) -> Iterator[None]:
        """Have the network rest if weights cannot be changed: some are, and it must not be used."""
        try:
            yield
        except BaseException:
            self.rest()
            raise

    @contextmanager
    def taking_turns(self, limit: int) -> Iterator[None]:
        """Have patches alternate for a while: up to `limit` bytes of their weights are kept."""
        outer = self._kept
        if outer.limit == 0:
            self._kept = KeptWeights(limit)
        try:
            yield
        finally:
            self._kept = outer

    def memory_format(self) -> torch.memory_format:
        """How pictures are to lie in memory: as the weights of convolutions do.

        Channels last is faster, and what weights get when they are converted. Those that stay
        mapped lie as their file has them.
        """
        layouts = (
            w.is_contiguous(memory_format=torch.channels_last) and not w.is_contiguous()
            for w in self.module.parameters()
            if w.ndim == 4
        )
        return torch.channels_last if any(layouts) else torch.contiguous_format

    def _fill(self, name: str) -> None:
        """Have a weight in the module as it should be now."""
        for parameter, value in self._values(name):
            _assign(self.module, parameter, value.to(self.device))

    def _present(self, name: str) -> list[tuple[str, Tensor]]:
        """The parameters that a weight is now."""
        return [
            (parameter, self.module.get_parameter(parameter).data)
            for parameter, _ in self._parts_of(name)
        ]

    def _values(self, name: str) -> Iterator[tuple[str, Tensor]]:
        """The parameters that a weight should be now, on the CPU."""
        weight = self._weight(name)
        for parameter, part in self._parts_of(name):
            yield parameter, part.of(weight)

    def _parts_of(self, name: str) -> Sequence[tuple[str, Part]]:
        return self._parameters.get(name) or [(name, Part(name))]

    def _weight(self, name: str) -> Tensor:
        """A weight as it should be now, on the CPU: the file's, converted, and patched."""
        stored, changes = self._source[name], self._patched.get(name, ())
        weight = _convert(self.storage.held(stored, self.dtype, changes), self.dtype)
        if changes and weight.ndim == 4 and stored.dtype != self.dtype:  # as it is without them
            return weight.contiguous(memory_format=torch.channels_last)
        return weight

    def merged(self, name: str, changes: Sequence[WeightPatch]) -> Tensor:
        """A weight with changes, in a type that files have: the stored one if that is precise.

        A change of a weight in fewer than 16 bits, and one in blocks or with scales, gives float16.
        Changes are made, and blocks decoded, when the result is read.
        """
        stored = self._source[name]
        if not changes and not isinstance(stored, StoredTensor):
            return stored
        precise = stored.itemsize > 1 and not isinstance(stored, StoredTensor)
        return with_changes(stored, changes, stored.dtype if precise else torch.float16)

    def size(self) -> int:
        """Bytes of all weights, once they are in memory."""
        return sum(self.storage.held_bytes(weight, self.dtype) for weight in self._source.values())

    def bytes_on(self, device: torch.device) -> int:
        """Bytes of weights that are in a device's memory."""
        if self.is_resting:
            return 0
        if self.is_streaming and device == HOME:
            return self.size() - self._staying
        if self.device != device:
            return 0
        return self._staying if self.is_streaming else self.size() + self._kept.held

    def __contains__(self, name: str) -> bool:
        return name in self._source

    def names(self) -> list[str]:
        """The names of all weights."""
        return list(self._source)

    def stored(self, name: str) -> Tensor:
        """A weight as the file has it."""
        return self._source[name]

    def original(self, name: str) -> str:
        """The name that a weight had in its file, without the prefix of its part."""
        return self._originals.get(name, name)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a weight."""
        return tuple(self._source[name].shape)


def assemble(
    factory: Callable[[], N],
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype,
    path: Path,
    originals: Mapping[str, str] | None = None,
    parts: Mapping[str, Part] | None = None,
    storage: Storage = AS_COMPUTED,
) -> Network[N]:
    """The network that `factory` makes, with `tensors` (under the network's own names); it rests.

    When it is placed, tensors that already have the type stay mapped to their file. Others are
    converted one by one: what is held beyond the result is pages of the file, which the system can
    drop at any time. Those in fewer bits stay so (see Storage), and are decoded layer by layer in
    each computation.
    `originals` tells what the tensors were called in the file, where that differs; `parts` which
    parameters are parts of tensors with names of their own.
    Raises CheckpointUnreadable when a tensor is missing or has another shape, UnsupportedLayout for
    a network that cannot be.
    """
    parts = parts or {}
    try:
        with torch.device("meta"):
            module = factory()
    except (ValueError, ArithmeticError) as error:  # of widths that do not go together
        raise UnsupportedLayout(path, f"no network has such widths ({error})") from error
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    found = {name: parts.get(name, Part(name)) for name in wanted}
    _check(wanted, found, tensors, path)
    source = {part.weight: tensors[part.weight] for part in found.values()}
    parameters = {name: part.of(source[part.weight]) for name, part in found.items()}
    module.load_state_dict(parameters, assign=True)
    used = {name: part for name, part in parts.items() if name in wanted}
    return Network(module.eval().requires_grad_(False), source, dtype, originals, used, storage)


def _check(
    wanted: Mapping[str, tuple[int, ...]],
    parts: Mapping[str, Part],
    tensors: Mapping[str, Tensor],
    path: Path,
) -> None:
    missing = [part.weight for part in parts.values() if part.weight not in tensors]
    if missing:
        raise CheckpointUnreadable(
            path, f"{len(missing)} tensors are missing, the first is '{missing[0]}'"
        )
    for name, shape in wanted.items():
        found = parts[name].shape(tuple(tensors[parts[name].weight].shape))
        if found != shape:
            raise CheckpointUnreadable(path, f"'{name}' has shape {found} and should have {shape}")


def _convert(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor in a type; pages of the file that it came from are given back if it is a copy."""
    if isinstance(tensor, StoredTensor):
        return tensor if tensor.dtype == dtype else values_of(tensor, dtype)
    if not tensor.is_floating_point() or tensor.dtype == dtype:
        return tensor
    if tensor.ndim == 4:
        converted = tensor.to(dtype, memory_format=torch.channels_last)
    else:
        converted = tensor.to(dtype)
    release_pages(tensor)
    return converted


def _assign(module: nn.Module, name: str, weight: Tensor) -> None:
    owner, _, leaf = name.rpartition(".")
    parameter = nn.Parameter(weight, requires_grad=False)
    setattr(module.get_submodule(owner), leaf, parameter)
