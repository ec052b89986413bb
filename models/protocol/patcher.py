"""ModelPatcher: a module on two devices, with options, patches and hooks that its clones share.

Packs change a clone: ``m = model.clone(); m.set_model_sampler_cfg_function(f)``. ModelHandle is a
ModelPatcher over a diffusion model; packs also make plain ones for modules of their own.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.network import WeightPatch
from models.protocol import options as model_option
from models.protocol.attachable import Attachable
from models.protocol.class_change import class_with
from models.protocol.extension import CallbacksMP, merge_nested_dicts
from models.protocol.option_setters import OptionSetters
from models.protocol.paths import get_path, set_path
from models.protocol.weights import ValuePatch, as_tuple

PatchTable = dict[str, tuple[WeightPatch, ...]]


class ModelPatcher(Attachable, OptionSetters):
    """A module with what its user changed; see the module's docstring."""

    patches: Mapping[str, Sequence[WeightPatch]]

    def __init__(
        self,
        model: Any,
        load_device: torch.device,
        offload_device: torch.device,
        size: int = 0,
        weight_inplace_update: bool = False,
    ) -> None:
        self._model = model
        self._load_device, self._offload_device = load_device, offload_device
        self.size = size
        self.model_options = model_option.empty_options()
        self.patches = {}
        self.backup: dict[str, Tensor] = {}
        self.weight_inplace_update = weight_inplace_update
        self._prepare()

    def _prepare(self) -> None:
        """The tables that every patcher has."""
        self.object_patches: dict[str, Any] = {}
        self._attach_nothing()
        self.patches_uuid = uuid.uuid4()
        self.parent: Any = None
        self.is_clip = False

    def __setattr__(self, name: str, value: Any) -> None:
        """Packs turn a patcher into one of a class of theirs: it goes on doing what it did."""
        if name == "__class__":
            value = class_with(type(self), value, ModelPatcher)
        super().__setattr__(name, value)

    # What it wraps

    @property
    def model(self) -> Any:
        """The module; clones share it."""
        return self._model

    @property
    def load_device(self) -> torch.device:
        """Where it computes."""
        return self._load_device

    @property
    def offload_device(self) -> torch.device:
        """Where it waits."""
        return self._offload_device

    @property
    def current_device(self) -> torch.device:
        """Where its weights are now."""
        parameter = next(iter(self.model.parameters()), None)
        return self.offload_device if parameter is None else parameter.device

    def current_loaded_device(self) -> torch.device:
        """Where its weights are now."""
        return self.current_device

    def model_size(self) -> int:
        """Bytes of all weights."""
        return self.size or sum(tensor.nbytes for tensor in self.model.state_dict().values())

    def loaded_size(self) -> int:
        """Bytes on the computing device."""
        return self.model_size() if self.current_device == self.load_device else 0

    def model_dtype(self) -> torch.dtype | None:
        """The type of its weights."""
        if hasattr(self.model, "get_dtype"):
            dtype: torch.dtype = self.model.get_dtype()
            return dtype
        return next((p.dtype for p in self.model.parameters()), None)

    def memory_required(self, input_shape: Sequence[int]) -> float:
        """Bytes that a call with a latent of this shape needs beside the weights."""
        return float(self.model.memory_required(input_shape=input_shape))

    # Clones

    def clone(self, **changes: Any) -> Self:
        """A patcher of the same module with tables of its own, and some attributes replaced."""
        made = copy.copy(self)
        made.model_options = model_option.clone_options(self.model_options)
        made.patches = {name: tuple(changed) for name, changed in self.patches.items()}
        made.object_patches = dict(self.object_patches)
        made._attach_as(self)
        made.parent = self
        for name, value in changes.items():
            if not hasattr(made, name):
                raise TypeError(f"{type(self).__name__} has no '{name}'")
            setattr(made, name, value)
        self._call(CallbacksMP.ON_CLONE, made)
        return made

    def is_clone(self, other: Any) -> bool:
        """Whether both are of one module."""
        return hasattr(other, "model") and self.model is other.model

    def clone_has_same_weights(self, clone: ModelPatcher) -> bool:
        """Whether both are of one module with the same patches."""
        return self.is_clone(clone) and dict(self.patches) == dict(clone.patches)

    # Patches of weights

    def with_patches(self, patches: Mapping[str, Sequence[WeightPatch]]) -> Self:
        """A clone whose weights also have these patches, made after those it has."""
        made = self.clone()
        made._add(patches)
        return made

    def _add(self, patches: Mapping[str, Sequence[WeightPatch]]) -> None:
        merged: PatchTable = {name: tuple(found) for name, found in self.patches.items()}
        for name, changes in patches.items():
            merged[name] = (*merged.get(name, ()), *changes)
        self.patches = merged
        self.patches_uuid = uuid.uuid4()

    def weight_names(self) -> Mapping[str, str]:
        """Names that packs use for weights -> names in the module."""
        return {name: name for name in self.model.state_dict()}

    def weight(self, name: str) -> Tensor:
        """A weight without patches, by its name in the module."""
        found: Tensor = self.backup[name] if name in self.backup else get_path(self.model, name)
        return found

    def add_patches(
        self,
        patches: Mapping[Any, Any],
        strength_patch: float = 1.0,
        strength_model: float = 1.0,
    ) -> list[Any]:
        """Patch weights; returns the names that it has. A name may come with an offset."""
        known = self.weight_names()
        added: dict[str, list[WeightPatch]] = {}
        used = []
        for key, value in patches.items():
            name, offset, function = key if isinstance(key, tuple) and len(key) == 3 else (
                (*key, None) if isinstance(key, tuple) else (key, None, None)
            )  # fmt: skip
            if name in known:
                patch = ValuePatch(value, strength_patch, strength_model, offset, function)
                added.setdefault(known[name], []).append(patch)
                used.append(key)
        self._add(added)
        return used

    def get_key_patches(self, filter_prefix: str | None = None) -> dict[str, Any]:
        """Every weight with its patches, in the form that `add_patches` of another model takes."""
        found: dict[str, Any] = {}
        for outer, name in self.weight_names().items():
            if filter_prefix is None or outer.startswith(filter_prefix):
                patches = [as_tuple(patch) for patch in self.patches.get(name, ())]
                found[outer] = [(self.weight(name), _unchanged), *patches]
        return found

    def model_state_dict(self, filter_prefix: str | None = None) -> dict[str, Tensor]:
        """All weights without patches."""
        return {
            outer: self.weight(name)
            for outer, name in self.weight_names().items()
            if filter_prefix is None or outer.startswith(filter_prefix)
        }

    def patch_model(
        self,
        device_to: torch.device | None = None,
        lowvram_model_memory: int = 0,
        load_weights: bool = True,
        force_patch_weights: bool = False,
    ) -> Any:
        """Put object patches and weight patches into the module; returns it."""
        self.patch_objects()
        if load_weights:
            for name in self.patches:
                self._patch_weight(name)
        if device_to is not None:
            self.model.to(device_to)
        self.inject_model()
        return self.model

    def unpatch_model(
        self, device_to: torch.device | None = None, unpatch_weights: bool = True
    ) -> None:
        """Undo `patch_model`."""
        self.eject_model()
        if unpatch_weights:
            for name, original in self.backup.items():
                set_path(self.model, name, original)
            self.backup.clear()
        if device_to is not None:
            self.model.to(device_to)
        self.unpatch_objects()

    def load(
        self,
        device_to: torch.device | None = None,
        lowvram_model_memory: int = 0,
        force_patch_weights: bool = False,
        full_load: bool = False,
    ) -> None:
        """`patch_model`, under the name by which packs override it."""
        self.patch_model(device_to, lowvram_model_memory, force_patch_weights=force_patch_weights)

    def partially_load(
        self, device_to: torch.device, extra_memory: int = 0, force_patch_weights: bool = False
    ) -> int:
        """Have all of it on a device; how many bytes that added."""
        before = self.loaded_size()
        self.load(device_to, extra_memory, force_patch_weights=force_patch_weights)
        return self.loaded_size() - before

    def partially_unload(
        self,
        device_to: torch.device | None,
        memory_to_free: int = 0,
        force_patch_weights: bool = False,
    ) -> int:
        """Send all of it away; how many bytes that freed."""
        before = self.loaded_size()
        self.unpatch_model(device_to)
        return before - self.loaded_size()

    def patch_weight_to_device(
        self, key: str, device_to: torch.device | None = None, inplace_update: bool = False
    ) -> None:
        """Put the patches of one weight into the module."""
        if key in self.patches:
            self._patch_weight(key, device_to)

    def _patch_weight(self, name: str, device: torch.device | None = None) -> None:
        original = self.weight(name)
        self.backup.setdefault(name, original)
        value = original.float() if device is None else original.to(device).float()
        for change in self.patches[name]:
            value = change.apply(value)
        set_path(self.model, name, _like(value, original))

    def detach(self, unpatch_all: bool = True) -> Any:
        """Take the module off its device."""
        self._call(CallbacksMP.ON_DETACH, unpatch_all)
        if unpatch_all:
            self.unpatch_model(self.offload_device)
        return self.model

    # Objects inside the module

    def add_object_patch(self, name: str, obj: Any) -> None:
        """Have another object at a dotted path of the module while it runs."""
        self.object_patches[name] = obj

    def get_model_object(self, name: str) -> Any:
        """What is at a dotted path of the module, patches counted."""
        if name in self.object_patches:
            return self.object_patches[name]
        return get_path(self.model, name)

    def patch_objects(self) -> None:
        """Put the object patches into the module."""
        backup = self.model.__dict__.setdefault("_object_backup", {})
        for name, value in self.object_patches.items():
            backup.setdefault(name, get_path(self.model, name))
            set_path(self.model, name, value)

    def unpatch_objects(self) -> None:
        """Put back what was there."""
        backup = self.model.__dict__.get("_object_backup", {})
        for name in list(backup):
            set_path(self.model, name, backup.pop(name))

    @contextmanager
    def running(self) -> Iterator[Any]:
        """The module with object patches and injections, for the length of a run."""
        model = self.model
        outer = model.__dict__.pop("_object_backup", {})
        previous = getattr(model, "current_patcher", None)
        network: Any = getattr(model, "diffusion_model", None)
        weights = getattr(network, "patches", None)
        try:  # clones share the module: what fails must leave it to them as it was
            self.patch_objects()
            model.current_patcher = self
            if weights is not None:
                network.patches = self.patches
                network.compute_dtype = self.model_options.get("compute_dtype")
                network.compiled_by = getattr(self, "compiled_by", None)
            self.inject_model()
            try:
                yield model
            finally:
                self.eject_model()
        finally:
            self.unpatch_objects()
            model.__dict__["_object_backup"] = outer
            model.current_patcher = previous
            if weights is not None:
                network.patches, network.compute_dtype = weights, None
                network.compiled_by = None

    def run_options(self, options: model_option.Options | None = None) -> model_option.Options:
        """`model_options` (or others) for a run: with this patcher's hooks in the transformer's."""
        made = model_option.clone_options(self.model_options if options is None else options)
        transformer = made.setdefault("transformer_options", {})
        for kind, hooks in (("wrappers", self.wrappers), ("callbacks", self.callbacks)):
            if hooks or kind in transformer:
                transformer[kind] = merge_nested_dicts(transformer.get(kind, {}), hooks)
        return made


def _unchanged(weight: Tensor, **_: Any) -> Tensor:
    return weight


def _like(value: Tensor, original: Tensor) -> Tensor:
    value = value.to(original.device, original.dtype)
    is_parameter = isinstance(original, nn.Parameter)
    return nn.Parameter(value, requires_grad=False) if is_parameter else value
