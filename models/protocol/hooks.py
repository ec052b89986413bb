"""Hooks: changes of a model for the conditionings that carry them, and how strong they are when.

A HookGroup is what flows through HOOKS sockets; conditionings carry one under `hooks`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from models.network import Network, WeightPatch

if TYPE_CHECKING:
    from models.text.encoder import TextEncoder

Patches = Mapping[str, Sequence[WeightPatch]]


class EnumHookType(Enum):
    """What a hook changes."""

    Weight = "weight"
    ObjectPatch = "object_patch"
    AdditionalModels = "add_models"
    TransformerOptions = "transformer_options"
    Injections = "add_injections"


class EnumHookMode(Enum):
    """What hooks save."""

    MinVram = "minvram"
    MaxSpeed = "maxspeed"


class EnumWeightTarget(Enum):
    """Whose weights a hook changes."""

    Model = "model"
    Clip = "clip"


class EnumHookScope(Enum):
    """When a hook acts."""

    AllConditioning = "all_conditioning"
    HookedOnly = "hooked_only"


class HookRef:
    """Stands for one hook, whatever it was copied to."""


class HookKeyframe:
    """A strength from a part of the run on."""

    def __init__(
        self, strength: float, start_percent: float = 0.0, guarantee_steps: int = 1
    ) -> None:
        self.strength = strength
        self.start_percent = float(start_percent)
        self.start_t = 999999999.9
        self.guarantee_steps = guarantee_steps  # it holds for so many steps, however short

    def clone(self) -> HookKeyframe:
        """The same."""
        return HookKeyframe(self.strength, self.start_percent, self.guarantee_steps)


class HookKeyframeGroup:
    """The course of a strength over a run."""

    def __init__(self) -> None:
        self.keyframes: list[HookKeyframe] = []

    @property
    def strength(self) -> float:
        """The strength of the first keyframe; 1 without any."""
        return self.keyframes[0].strength if self.keyframes else 1.0

    def add(self, keyframe: HookKeyframe) -> None:
        """Add one, in order of time."""
        self.keyframes.append(keyframe)
        self.keyframes.sort(key=lambda one: one.start_percent)

    def is_empty(self) -> bool:
        """Whether there is none."""
        return not self.keyframes

    def clone(self) -> HookKeyframeGroup:
        """The same."""
        made = HookKeyframeGroup()
        made.keyframes = list(self.keyframes)
        return made


class Hook:
    """One change for the conditionings that carry it."""

    def __init__(
        self,
        hook_type: EnumHookType | None = None,
        hook_ref: HookRef | None = None,
        hook_id: str | None = None,
        hook_keyframe: HookKeyframeGroup | None = None,
        hook_scope: EnumHookScope = EnumHookScope.AllConditioning,
    ) -> None:
        self.hook_type = hook_type
        self.hook_ref = hook_ref or HookRef()
        self.hook_id = hook_id
        self.hook_keyframe = hook_keyframe or HookKeyframeGroup()
        self.hook_scope = hook_scope
        self.custom_should_register: Any = None

    @property
    def strength(self) -> float:
        """How strongly it acts at the start."""
        return self.hook_keyframe.strength

    def clone(self) -> Hook:
        """The same hook."""
        return copy.copy(self)


class WeightSource(Protocol):
    """Where a hook's weights come from."""

    def model_patches(self, network: Network[Any], strength: float) -> Patches:
        """What it changes in a diffusion model."""

    def text_patches(self, encoder: TextEncoder, strength: float) -> Patches:
        """What it changes in a text encoder."""


class WeightHook(Hook):
    """A change of weights."""

    def __init__(
        self,
        strength_model: float = 1.0,
        strength_clip: float = 1.0,
        source: WeightSource | None = None,
    ) -> None:
        super().__init__(hook_type=EnumHookType.Weight, hook_scope=EnumHookScope.HookedOnly)
        self.weights: Any = None
        self.weights_clip: Any = None
        self.need_weight_init = True
        self.source = source
        self._strength_model, self._strength_clip = strength_model, strength_clip
        # Equal patches must be the same objects: a network changes only what differs.
        self._made: WeakKeyDictionary[Network[Any], dict[float, Patches]] = WeakKeyDictionary()

    @property
    def strength_model(self) -> float:
        """Of the diffusion model, at the start."""
        return self._strength_model * self.strength

    @property
    def strength_clip(self) -> float:
        """Of the text encoder, at the start."""
        return self._strength_clip * self.strength

    def model_patches(self, network: Network[Any], strength: float) -> Patches:
        """What it changes in a diffusion model, at a strength of its keyframes."""
        if self.source is None:
            return {}
        total = strength * self._strength_model
        return self._kept(partial(self.source.model_patches, network, total), network, total)

    def text_patches(self, encoder: TextEncoder, strength: float) -> Patches:
        """What it changes in a text encoder, at a strength of its keyframes."""
        if self.source is None:
            return {}
        total = strength * self._strength_clip
        make = partial(self.source.text_patches, encoder, total)
        return self._kept(make, encoder.network, total)

    def _kept(self, make: Callable[[], Patches], network: Network[Any], strength: float) -> Patches:
        made = self._made.setdefault(network, {})
        if strength not in made:
            made[strength] = make()
        return made[strength]


class TransformerOptionsHook(Hook):
    """A change of transformer options."""

    def __init__(
        self,
        transformers_dict: dict[str, Any] | None = None,
        hook_scope: EnumHookScope = EnumHookScope.AllConditioning,
    ) -> None:
        super().__init__(hook_type=EnumHookType.TransformerOptions, hook_scope=hook_scope)
        self.transformers_dict = transformers_dict


class HookGroup:
    """Several hooks."""

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self.hooks: list[Hook] = list(hooks)

    def __len__(self) -> int:
        return len(self.hooks)

    def add(self, hook: Hook) -> None:
        """Add a hook that is not there yet."""
        if not self.contains(hook):
            self.hooks.append(hook)

    def remove(self, hook: Hook) -> None:
        """Take a hook out."""
        self.hooks = [one for one in self.hooks if one.hook_ref is not hook.hook_ref]

    def contains(self, hook: Hook) -> bool:
        """Whether the hook, or a copy of it, is there."""
        return any(one.hook_ref is hook.hook_ref for one in self.hooks)

    def clone(self) -> HookGroup:
        """A group of the same hooks."""
        return HookGroup(hook.clone() for hook in self.hooks)

    def clone_and_combine(self, other: HookGroup | None) -> HookGroup:
        """A group of the hooks of both."""
        made = self.clone()
        for hook in other.hooks if other is not None else ():
            made.add(hook.clone())
        return made

    def get_type(self, hook_type: EnumHookType) -> list[Hook]:
        """The hooks of a type."""
        return [hook for hook in self.hooks if hook.hook_type == hook_type]

    def set_keyframes_on_hooks(self, hook_kf: HookKeyframeGroup | None) -> None:
        """Give all hooks a course over time."""
        for hook in self.hooks:
            hook.hook_keyframe = HookKeyframeGroup() if hook_kf is None else hook_kf.clone()

    @staticmethod
    def combine_all_hooks(
        hooks_list: Iterable[HookGroup | None], require_count: int = 0
    ) -> HookGroup | None:
        """A group of all; None if there are none."""
        found = [group for group in hooks_list if group is not None]
        if not found:
            return None
        made = HookGroup()
        for group in found:
            made = made.clone_and_combine(group)
        return made


class Course:
    """The strength of one group of keyframes in one run."""

    def __init__(self, keyframes: HookKeyframeGroup, sampling: Any, first_sigma: float) -> None:
        self._frames = [
            (float(sampling.percent_to_sigma(frame.start_percent)), frame)
            for frame in keyframes.keyframes
        ]
        self._first_sigma = first_sigma
        self._index = 0
        self._steps = 0  # that the keyframe has held for
        self._sigma: float | None = None

    def strength(self, sigma: float) -> float:
        """The strength at a noise level. Levels come in the order of the run.

        A keyframe holds from its start on, until the next one begins. One that a step would leave
        out holds for the steps that it is guaranteed, unless its start lies before the run.
        """
        if not self._frames:
            return 1.0
        if sigma != self._sigma:
            self._sigma = sigma
            self._advance(sigma)
            self._steps += 1
        return self._frames[self._index][1].strength

    def _guaranteed(self) -> int:
        start, frame = self._frames[self._index]
        return 0 if start > self._first_sigma else frame.guarantee_steps

    def _advance(self, sigma: float) -> None:
        if self._steps < self._guaranteed():
            return
        while self._index + 1 < len(self._frames) and self._frames[self._index + 1][0] >= sigma:
            self._index += 1
            self._steps = 0
            if self._guaranteed() > 0:
                return


def strength_at(keyframes: HookKeyframeGroup, percent: float) -> float:
    """The strength at a part of the run, without guaranteed steps."""
    begun = [frame for frame in keyframes.keyframes if frame.start_percent <= percent]
    return begun[-1].strength if begun else keyframes.strength


def parts_of_run(hooks: HookGroup) -> list[tuple[float, float]]:
    """(start, end) of the parts of a run in which no hook changes its strength."""
    starts = {frame.start_percent for hook in hooks.hooks for frame in hook.hook_keyframe.keyframes}
    bounds = sorted({0.0, *(start for start in starts if 0.0 < start < 1.0), 1.0})
    return list(pairwise(bounds))


def keys(hooks: HookGroup | None) -> frozenset[int]:
    """What a group is known by: equal for groups of copies of the same hooks."""
    return (
        frozenset(id(hook.hook_ref) for hook in hooks.hooks) if hooks is not None else frozenset()
    )


def merged(patches: Iterable[Patches]) -> dict[str, tuple[WeightPatch, ...]]:
    """Several tables of patches in one; they are applied in this order."""
    found: dict[str, tuple[WeightPatch, ...]] = {}
    for table in patches:
        for name, changes in table.items():
            found[name] = (*found.get(name, ()), *changes)
    return found
