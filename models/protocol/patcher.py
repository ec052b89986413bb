"""ModelPatcher: a module on two devices, with options, patches and hooks that its clones share.

Packs change a clone: ``m = model.clone(); m.set_model_sampler_cfg_function(f)``. ModelHandle is a
ModelPatcher over a diffusion model; packs also make plain ones for modules of their own.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.network import WeightPatch
from models.protocol import options as model_option
from models.protocol.extension import (
    CallbacksMP,
    Hooks,
    PatcherInjection,
    add_hook,
    all_hooks,
    copy_nested_dicts,
    merge_nested_dicts,
)
from models.protocol.option_setters import OptionSetters
from models.protocol.paths import get_path, set_path
from models.protocol.weights import ValuePatch, as_tuple

PatchTable = dict[str, tuple[WeightPatch, ...]]


class ModelPatcher(OptionSetters):
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
        self.wrappers: Hooks = {}
        self.callbacks: Hooks = {}
        self.attachments: dict[str, Any] = {}
        self.injections: dict[str, list[PatcherInjection]] = {}
        self.additional_models: dict[str, list[Any]] = {}
        self.patches_uuid = uuid.uuid4()
        self.parent: Any = None
        self.is_clip = False

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
        made.wrappers = copy_nested_dicts(self.wrappers)
        made.callbacks = copy_nested_dicts(self.callbacks)
        made.attachments = {
            key: value.on_model_patcher_clone() if hasattr(value, "on_model_patcher_clone")
            else value
            for key, value in self.attachments.items()
        }  # fmt: skip
        made.injections = {key: list(found) for key, found in self.injections.items()}
        made.additional_models = {
            key: [found.clone() for found in models]
            for key, models in self.additional_models.items()
        }
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
            for name, changes in self.patches.items():
                original = self.weight(name)
                self.backup.setdefault(name, original)
                value = original.float()
                for change in changes:
                    value = change.apply(value)
                set_path(self.model, name, _like(value, original))
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
        self.patch_objects()
        model.current_patcher = self
        network: Any = getattr(model, "diffusion_model", None)
        weights = getattr(network, "patches", None)
        if weights is not None:
            network.patches = self.patches
        self.inject_model()
        try:
            yield model
        finally:
            self.eject_model()
            self.unpatch_objects()
            model.__dict__["_object_backup"] = outer
            model.current_patcher = previous
            if weights is not None:
                network.patches = weights

    # Hooks

    def add_wrapper(self, wrapper_type: str, wrapper: Callable[..., Any]) -> None:
        """Add a wrapper (see WrappersMP)."""
        self.add_wrapper_with_key(wrapper_type, None, wrapper)

    def add_wrapper_with_key(
        self, wrapper_type: str, key: str | None, wrapper: Callable[..., Any]
    ) -> None:
        """Add a wrapper under a key."""
        add_hook(self.wrappers, wrapper_type, key, wrapper)

    def remove_wrappers_with_key(self, wrapper_type: str, key: str | None) -> None:
        """Remove all wrappers of a key."""
        self.wrappers.get(wrapper_type, {}).pop(key, None)

    def get_wrappers(self, wrapper_type: str, key: str | None = None) -> list[Any]:
        """The wrappers of a key."""
        return self.wrappers.get(wrapper_type, {}).get(key, [])

    def get_all_wrappers(self, wrapper_type: str) -> list[Any]:
        """The wrappers of all keys."""
        return all_hooks(self.wrappers, wrapper_type)

    def add_callback(self, call_type: str, callback: Callable[..., Any]) -> None:
        """Add a callback (see CallbacksMP)."""
        self.add_callback_with_key(call_type, None, callback)

    def add_callback_with_key(
        self, call_type: str, key: str | None, callback: Callable[..., Any]
    ) -> None:
        """Add a callback under a key."""
        add_hook(self.callbacks, call_type, key, callback)

    def remove_callbacks_with_key(self, call_type: str, key: str | None) -> None:
        """Remove all callbacks of a key."""
        self.callbacks.get(call_type, {}).pop(key, None)

    def get_callbacks(self, call_type: str, key: str | None = None) -> list[Any]:
        """The callbacks of a key."""
        return self.callbacks.get(call_type, {}).get(key, [])

    def get_all_callbacks(self, call_type: str) -> list[Any]:
        """The callbacks of all keys."""
        return all_hooks(self.callbacks, call_type)

    def _call(self, call_type: str, *arguments: Any) -> None:
        for callback in self.get_all_callbacks(call_type):
            callback(self, *arguments)

    def pre_run(self) -> None:
        """Tell callbacks that a run begins."""
        self._call(CallbacksMP.ON_PRE_RUN)

    def cleanup(self) -> None:
        """Tell callbacks that a run ended."""
        self._call(CallbacksMP.ON_CLEANUP)

    def run_options(self, options: model_option.Options | None = None) -> model_option.Options:
        """`model_options` (or others) for a run: with this patcher's hooks in the transformer's."""
        made = model_option.clone_options(self.model_options if options is None else options)
        transformer = made.setdefault("transformer_options", {})
        for kind, hooks in (("wrappers", self.wrappers), ("callbacks", self.callbacks)):
            if hooks or kind in transformer:
                transformer[kind] = merge_nested_dicts(transformer.get(kind, {}), hooks)
        return made

    # Things that packs hang on a model

    def set_attachments(self, key: str, attachment: Any) -> None:
        """Keep an object with this model; clones have it, too."""
        self.attachments[key] = attachment

    def get_attachment(self, key: str) -> Any:
        """The object under a key, or None."""
        return self.attachments.get(key)

    def remove_attachments(self, key: str) -> None:
        """Forget the object under a key."""
        self.attachments.pop(key, None)

    def set_injections(self, key: str, injections: list[PatcherInjection]) -> None:
        """Functions that change the module before a run and change it back."""
        self.injections[key] = injections

    def get_injections(self, key: str) -> list[PatcherInjection] | None:
        """The injections under a key."""
        return self.injections.get(key)

    def remove_injections(self, key: str) -> None:
        """Forget the injections under a key."""
        self.injections.pop(key, None)

    def inject_model(self) -> None:
        """Make the changes of all injections."""
        for injections in self.injections.values():
            for injection in injections:
                injection.inject(self)
        self._call(CallbacksMP.ON_INJECT_MODEL)

    def eject_model(self) -> None:
        """Undo them, the last one first."""
        for injections in reversed(list(self.injections.values())):
            for injection in reversed(injections):
                injection.eject(self)
        self._call(CallbacksMP.ON_EJECT_MODEL)

    def set_additional_models(self, key: str, models: list[Any]) -> None:
        """Models that must be ready when this one runs."""
        self.additional_models[key] = models

    def get_additional_models_with_key(self, key: str) -> list[Any]:
        """The models under a key."""
        return self.additional_models.get(key, [])

    def get_additional_models(self) -> list[Any]:
        """The models of all keys."""
        return [model for models in self.additional_models.values() for model in models]

    def get_nested_additional_models(self) -> list[Any]:
        """These models and those that they need in turn."""
        found: list[Any] = []
        for model in self.get_additional_models():
            found += [model, *model.get_nested_additional_models()]
        return found

    def remove_additional_models(self, key: str) -> None:
        """Forget the models under a key."""
        self.additional_models.pop(key, None)


def _unchanged(weight: Tensor, **_: Any) -> Tensor:
    return weight


def _like(value: Tensor, original: Tensor) -> Tensor:
    value = value.to(original.device, original.dtype)
    is_parameter = isinstance(original, nn.Parameter)
    return nn.Parameter(value, requires_grad=False) if is_parameter else value
