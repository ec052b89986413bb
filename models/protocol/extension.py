"""Wrappers, callbacks and injections: how packs hook into a model's life and its sampling.

Both kinds of hooks are kept as ``{call type: {key or None: [function, ...]}}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Hooks = dict[str, dict[str | None, list[Callable[..., Any]]]]


class CallbacksMP:
    """The moments at which callbacks of a model run."""

    ON_CLONE = "on_clone"
    ON_LOAD = "on_load_after"
    ON_DETACH = "on_detach_after"
    ON_CLEANUP = "on_cleanup"
    ON_PRE_RUN = "on_pre_run"
    ON_PREPARE_STATE = "on_prepare_state"
    ON_APPLY_HOOKS = "on_apply_hooks"
    ON_REGISTER_ALL_HOOK_PATCHES = "on_register_all_hook_patches"
    ON_INJECT_MODEL = "on_inject_model"
    ON_EJECT_MODEL = "on_eject_model"

    @classmethod
    def init_callbacks(cls) -> Hooks:
        """A table without callbacks."""
        return {name: {} for name in _values(cls)}


class WrappersMP:
    """The calls that wrappers can be put around, from the outermost in."""

    OUTER_SAMPLE = "outer_sample"
    PREPARE_SAMPLING = "prepare_sampling"
    SAMPLER_SAMPLE = "sampler_sample"
    PREDICT_NOISE = "predict_noise"
    CALC_COND_BATCH = "calc_cond_batch"
    APPLY_MODEL = "apply_model"
    DIFFUSION_MODEL = "diffusion_model"

    @classmethod
    def init_wrappers(cls) -> Hooks:
        """A table without wrappers."""
        return {name: {} for name in _values(cls)}


def _values(cls: type) -> list[str]:
    return [value for name, value in vars(cls).items() if name.isupper()]


class WrapperExecutor:
    """A function with wrappers around it: each gets the executor of what is inside it first.

    ``wrapper(executor, *args)`` calls ``executor(*args)`` to go on.
    """

    def __init__(
        self,
        original: Callable[..., Any],
        class_obj: Any,
        wrappers: Sequence[Callable[..., Any]],
        idx: int,
    ) -> None:
        self.original = original
        self.class_obj = class_obj  # the object whose method is wrapped, if it is one
        self.wrappers = list(wrappers)
        self.idx = idx
        self.is_last = idx == len(self.wrappers)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run what is inside the wrapper that asks."""
        return self._next().execute(*args, **kwargs)

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run the wrapper at this place, or the function once all wrappers had their turn."""
        if self.is_last:
            return self.original(*args, **kwargs)
        return self.wrappers[self.idx](self, *args, **kwargs)

    def _next(self) -> WrapperExecutor:
        return WrapperExecutor(self.original, self.class_obj, self.wrappers, self.idx + 1)

    @classmethod
    def new_executor(
        cls, original: Callable[..., Any], wrappers: Sequence[Callable[..., Any]], idx: int = 0
    ) -> WrapperExecutor:
        """For a plain function."""
        return cls(original, None, wrappers, idx)

    @classmethod
    def new_class_executor(
        cls,
        original: Callable[..., Any],
        class_obj: Any,
        wrappers: Sequence[Callable[..., Any]],
        idx: int = 0,
    ) -> WrapperExecutor:
        """For a bound method of `class_obj`."""
        return cls(original, class_obj, wrappers, idx)


class PatcherInjection:
    """A pair of functions that change a model before it runs and change it back afterwards."""

    def __init__(self, inject: Callable[[Any], Any], eject: Callable[[Any], Any]) -> None:
        self.inject = inject
        self.eject = eject


def add_hook(hooks: Hooks, call_type: str, key: str | None, function: Callable[..., Any]) -> None:
    """Add a function at the end of its key's list."""
    hooks.setdefault(call_type, {}).setdefault(key, []).append(function)


def all_hooks(hooks: Mapping[str, Any], call_type: str) -> list[Callable[..., Any]]:
    """The functions of all keys."""
    return [function for found in hooks.get(call_type, {}).values() for function in found]


def _table(options: dict[str, Any], kind: str, is_model_options: bool) -> Hooks:
    if is_model_options:
        options = options.setdefault("transformer_options", {})
    table: Hooks = options.setdefault(kind, {})
    return table


def add_callback(
    call_type: str,
    callback: Callable[..., Any],
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Add a callback to options."""
    add_callback_with_key(call_type, None, callback, transformer_options, is_model_options)


def add_callback_with_key(
    call_type: str,
    key: str | None,
    callback: Callable[..., Any],
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Add a callback to options under a key."""
    add_hook(_table(transformer_options, "callbacks", is_model_options), call_type, key, callback)


def get_callbacks_with_key(
    call_type: str,
    key: str | None,
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> list[Callable[..., Any]]:
    """The callbacks of a key."""
    table = _table(transformer_options, "callbacks", is_model_options)
    return table.get(call_type, {}).get(key, [])


def get_all_callbacks(
    call_type: str, transformer_options: dict[str, Any], is_model_options: bool = False
) -> list[Callable[..., Any]]:
    """The callbacks of all keys."""
    return all_hooks(_table(transformer_options, "callbacks", is_model_options), call_type)


def add_wrapper(
    wrapper_type: str,
    wrapper: Callable[..., Any],
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Add a wrapper to options."""
    add_wrapper_with_key(wrapper_type, None, wrapper, transformer_options, is_model_options)


def add_wrapper_with_key(
    wrapper_type: str,
    key: str | None,
    wrapper: Callable[..., Any],
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> None:
    """Add a wrapper to options under a key."""
    add_hook(_table(transformer_options, "wrappers", is_model_options), wrapper_type, key, wrapper)


def get_wrappers_with_key(
    wrapper_type: str,
    key: str | None,
    transformer_options: dict[str, Any],
    is_model_options: bool = False,
) -> list[Callable[..., Any]]:
    """The wrappers of a key."""
    table = _table(transformer_options, "wrappers", is_model_options)
    return table.get(wrapper_type, {}).get(key, [])


def get_all_wrappers(
    wrapper_type: str, transformer_options: dict[str, Any], is_model_options: bool = False
) -> list[Callable[..., Any]]:
    """The wrappers of all keys."""
    return all_hooks(_table(transformer_options, "wrappers", is_model_options), wrapper_type)


def copy_nested_dicts(table: Mapping[Any, Any]) -> dict[Any, Any]:
    """A copy of dictionaries and lists at every depth; what they hold is shared."""
    return {key: _copied(value) for key, value in table.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return copy_nested_dicts(value)
    return list(value) if isinstance(value, list) else value


def merge_nested_dicts(
    first: dict[Any, Any], second: Mapping[Any, Any], copy_dict1: bool = True
) -> dict[Any, Any]:
    """Both tables in one: dictionaries are merged, lists joined, and else the second counts."""
    merged = copy_nested_dicts(first) if copy_dict1 else first
    for key, value in second.items():
        old = merged.get(key)
        if isinstance(value, dict):
            merged[key] = merge_nested_dicts(old if isinstance(old, dict) else {}, value)
        elif isinstance(value, list):
            merged[key] = (list(old) if isinstance(old, list) else []) + value
        else:
            merged[key] = value
    return merged
