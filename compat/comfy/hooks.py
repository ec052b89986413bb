"""Hooks of conditionings, as data: they are carried along, and refused when a run meets them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from comfy.not_yet import absent


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
        """How strongly it acts now."""
        return self.hook_keyframe.strength

    def clone(self) -> Hook:
        """The same hook."""
        import copy

        return copy.copy(self)


class WeightHook(Hook):
    """A change of weights."""

    def __init__(self, strength_model: float = 1.0, strength_clip: float = 1.0) -> None:
        super().__init__(hook_type=EnumHookType.Weight, hook_scope=EnumHookScope.HookedOnly)
        self.weights: Any = None
        self.weights_clip: Any = None
        self.need_weight_init = True
        self._strength_model, self._strength_clip = strength_model, strength_clip

    @property
    def strength_model(self) -> float:
        """Of the diffusion model."""
        return self._strength_model * self.strength

    @property
    def strength_clip(self) -> float:
        """Of the text encoder."""
        return self._strength_clip * self.strength


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

    def __init__(self) -> None:
        self.hooks: list[Hook] = []

    def __len__(self) -> int:
        return len(self.hooks)

    def add(self, hook: Hook) -> None:
        """Add a hook that is not there yet."""
        if hook not in self.hooks:
            self.hooks.append(hook)

    def remove(self, hook: Hook) -> None:
        """Take a hook out."""
        if hook in self.hooks:
            self.hooks.remove(hook)

    def contains(self, hook: Hook) -> bool:
        """Whether the hook is there."""
        return hook in self.hooks

    def clone(self) -> HookGroup:
        """A group of the same hooks."""
        made = HookGroup()
        made.hooks = [hook.clone() for hook in self.hooks]
        return made

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


class HookKeyframe:
    """A strength from a part of the run on."""

    def __init__(
        self, strength: float, start_percent: float = 0.0, guarantee_steps: int = 1
    ) -> None:
        self.strength = strength
        self.start_percent = float(start_percent)
        self.start_t = 999999999.9
        self.guarantee_steps = guarantee_steps

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


def set_hooks_for_conditioning(
    cond: list[Any], hooks: HookGroup | None, append_hooks: bool = True, cache: Any = None
) -> list[Any]:
    """CONDITIONING that carries hooks."""
    if hooks is None:
        return cond
    made = []
    for context, options in cond:
        carried = options.get("hooks") if append_hooks else None
        both = hooks if carried is None else carried.clone_and_combine(hooks)
        made.append([context, {**options, "hooks": both}])
    return made


def conditioning_set_values(cond: list[Any], values: dict[str, Any]) -> list[Any]:
    """CONDITIONING with more options."""
    return [[context, {**options, **values}] for context, options in cond]


__getattr__ = absent(
    __name__,
    classes="ObjectPatchHook AdditionalModelsHook InjectionsHook",
    functions=(
        "create_hook_lora create_hook_model_as_lora create_transformer_options_from_hooks "
        "get_patch_weights_from_model load_hook_lora_for_models set_conds_props "
        "set_conds_props_and_combine set_default_conds_and_combine "
        "set_mask_conds set_timesteps_for_conditioning"
    ),
)
