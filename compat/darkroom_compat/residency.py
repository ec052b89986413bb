"""Which models are on the compute device, for `comfy.model_management`."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable
from typing import Any

import torch

from models.devices import free_bytes
from models.memory import Policy
from models.network import Network
from nodes.context import process_services


def policy() -> Policy:
    """Devices and number types of this process."""
    return process_services().policy


def network_of(model: Any) -> Network[Any] | None:
    """Our network behind a model object, if it is one of ours."""
    network = getattr(model, "network", None)
    return network if isinstance(network, Network) else None


class LoadedModel:
    """One model that was asked to be on its device."""

    def __init__(self, model: Any) -> None:
        self._model = weakref.ref(model)
        self.device = torch.device(getattr(model, "load_device", policy().device))
        self.currently_used = True

    @property
    def model(self) -> Any:
        """The model, None once nobody else has it."""
        return self._model()

    def is_dead(self) -> bool:
        """Whether nobody has the model any more."""
        return self.model is None

    def model_memory(self) -> int:
        """Bytes of its weights."""
        model = self.model
        if model is None:
            return 0
        network = network_of(model)
        return network.size() if network is not None else int(model.model_size())

    def model_loaded_memory(self) -> int:
        """Bytes of its weights that are on the device."""
        model = self.model
        if model is None:
            return 0
        if network_of(model) is None and hasattr(model, "loaded_size"):
            return int(model.loaded_size())
        return self.model_memory()

    def model_load(self, lowvram_model_memory: int = 0, force_patch_weights: bool = False) -> Any:
        """Put it onto its device."""
        model = self.model
        network = network_of(model)
        if network is not None:
            patches = getattr(model, "patches", None)
            if isinstance(patches, dict) and force_patch_weights:
                network.patch(patches)
            policy().residents.use(network, self.device)
        else:
            model.patch_model(
                device_to=self.device,
                lowvram_model_memory=lowvram_model_memory,
                force_patch_weights=force_patch_weights,
            )
        return model

    def model_unload(self, memory_to_free: int | None = None, unpatch_weights: bool = True) -> bool:
        """Send it home; whether it went."""
        model = self.model
        if model is None:
            return True
        network = network_of(model)
        if network is not None:
            policy().residents.evict(network)
        else:
            model.detach(unpatch_weights)
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoadedModel) and self.model is other.model

    def __hash__(self) -> int:
        return id(self)


loaded: list[LoadedModel] = []  # least recently asked for first


def load(models: Iterable[Any], memory_required: float, *, force_patch: bool) -> None:
    """Have models on their device, with memory beside them."""
    wanted: list[Any] = []
    for model in models:
        for one in (model, *getattr(model, "additional_models_to_load", ())):
            if not any(one is known for known in wanted):
                wanted.append(one)
    entries = [LoadedModel(model) for model in wanted]
    for entry in entries:
        if entry in loaded:
            loaded.remove(entry)
        if entry.device.type != "cpu":
            free(int(entry.model_memory() + memory_required), entry.device, keep=entries)
        entry.model_load(force_patch_weights=force_patch)
        loaded.append(entry)


def free(
    wanted: float, device: torch.device, keep: Collection[LoadedModel] = ()
) -> list[LoadedModel]:
    """Send models home until so many bytes are free; which ones went."""
    gone: list[LoadedModel] = []
    drop_dead()
    if device.type == "cpu":
        return gone
    for entry in list(loaded):
        if free_bytes(device) >= wanted:
            return gone
        if entry not in keep and entry.device == device:
            entry.model_unload()
            loaded.remove(entry)
            gone.append(entry)
    networks = [network for entry in keep if (network := network_of(entry.model)) is not None]
    policy().residents.free(int(wanted), device, keep=networks)
    return gone


def unload_all() -> None:
    """Send all models home."""
    for entry in loaded:
        entry.model_unload()
    loaded.clear()
    policy().residents.unload_all()


def drop_dead() -> None:
    """Forget models that nobody has any more."""
    loaded[:] = [entry for entry in loaded if not entry.is_dead()]
