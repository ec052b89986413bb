"""Applies the hooks of conditionings in a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from models.errors import InvalidInput
from models.protocol.extension import merge_nested_dicts
from models.protocol.hooks import (
    Course,
    HookGroup,
    Patches,
    TransformerOptionsHook,
    WeightHook,
    merged,
)

_SPARE: Final = 4  # of a device's room, one part is for weights that take turns
_COURSES = "hook_courses"  # in transformer options: the state of a run's keyframes


def begin_run(options: dict[str, Any], conds: Mapping[str, Sequence[Any]], sampling: Any) -> bool:
    """Prepare the hooks of all conditionings; `options` are the `model_options` of the run.

    Whether there are any.
    """
    transformer = options["transformer_options"]
    groups = [e["hooks"] for found in conds.values() for e in found if e.get("hooks") is not None]
    if not groups:
        return False
    first = float(transformer["sample_sigmas"].max())
    courses = transformer[_COURSES] = {}
    for hook in (hook for group in groups for hook in group.hooks):
        if not isinstance(hook, (WeightHook, TransformerOptionsHook)):
            raise InvalidInput(f"hooks of the kind '{hook.hook_type}' are not supported yet")
        courses[hook.hook_ref] = Course(hook.hook_keyframe, sampling, first)
    return True


@contextmanager
def weights_taking_turns(model: Any) -> Iterator[None]:
    """Have a model go back to weights that it had lately without computing them again.

    So much of them is kept as a quarter of the device's room holds. For runs in which calls with
    different hooks, or of different clones, follow on each other.
    """
    unet = getattr(model, "diffusion_model", None)
    network, policy = getattr(unet, "network", None), getattr(unet, "policy", None)
    if network is None or policy is None:
        yield
        return
    memory = policy.residents.memory(policy.device)
    room = 0 if memory is None else memory.room(policy.residents.bytes_on(policy.device))
    to_come = network.size() if network.is_resting else 0
    with network.taking_turns(max(0, room - to_come) // _SPARE):
        yield


@contextmanager
def hooked(
    model: Any, hooks: HookGroup | None, sigma: float, options: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """The transformer options of a call, with the weights of the model as its hooks want them."""
    if hooks is None or not len(hooks):
        yield options
        return
    courses: Mapping[Any, Course] = options.get(_COURSES, {})
    tables: list[Patches] = []
    for hook in hooks.hooks:
        course = courses.get(hook.hook_ref)
        strength = hook.strength if course is None else course.strength(sigma)
        if isinstance(hook, TransformerOptionsHook):
            options = merge_nested_dicts(options, hook.transformers_dict or {})
        elif isinstance(hook, WeightHook):
            tables.append(hook.model_patches(_network(model), strength))
    unet = model.diffusion_model
    if not tables:
        yield options
        return
    before = unet.patches
    unet.patches = merged([before, *tables])
    try:
        yield options
    finally:
        unet.patches = before


def _network(model: Any) -> Any:
    network = getattr(model.diffusion_model, "network", None)
    if network is None:
        raise InvalidInput("hooks of weights need a model that Darkroom loaded itself")
    return network
