"""What packs hang on a model: wrappers and callbacks, injections, objects, further models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.protocol.extension import (
    CallbacksMP,
    Hooks,
    PatcherInjection,
    add_hook,
    all_hooks,
    copy_nested_dicts,
)


class Attachable:
    """The part of a ModelPatcher that holds what others attach to it."""

    def _attach_nothing(self) -> None:
        self.wrappers: Hooks = {}
        self.callbacks: Hooks = {}
        self.attachments: dict[str, Any] = {}
        self.injections: dict[str, list[PatcherInjection]] = {}
        self.additional_models: dict[str, list[Any]] = {}

    def _attach_as(self, other: Attachable) -> None:
        """Have what the other has, in tables of its own."""
        self.wrappers = copy_nested_dicts(other.wrappers)
        self.callbacks = copy_nested_dicts(other.callbacks)
        self.attachments = {
            key: value.on_model_patcher_clone() if hasattr(value, "on_model_patcher_clone")
            else value
            for key, value in other.attachments.items()
        }  # fmt: skip
        self.injections = {key: list(found) for key, found in other.injections.items()}
        self.additional_models = {
            key: [found.clone() for found in models]
            for key, models in other.additional_models.items()
        }

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
