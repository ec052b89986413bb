"""Nodes that make hooks: changes of a model for some conditionings, over the course of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from models.hook_weights import CheckpointSource, LoraSource
from models.keyframes import EASINGS, eased, series
from models.load import load_checkpoint
from models.lora import load_lora
from models.protocol.hooks import (
    HookGroup,
    HookKeyframe,
    HookKeyframeGroup,
    WeightHook,
    WeightSource,
)
from models.text.handle import TextHandle, TextHooks
from nodes.base import FileOptions, Node, inputs
from nodes.missing_parts import need_text_encoder

logger = logging.getLogger(__name__)

_STRENGTH = ("FLOAT", {"default": 1.0, "min": -20.0, "max": 20.0, "step": 0.01})
_AMOUNT = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.001})
_START = ("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.001})
_END = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.001})


class _HookNode(Node):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hooks"
    EXPERIMENTAL = True


class _CreateHook(_HookNode):
    CATEGORY = "advanced/hooks/create"
    OPTIONAL = inputs(prev_hooks=("HOOKS",))
    RETURN_TYPES = ("HOOKS",)

    def _added(
        self, before: HookGroup | None, source: WeightSource, model: float, clip: float
    ) -> tuple[HookGroup]:
        made = HookGroup() if before is None else before.clone()
        made.add(WeightHook(model, clip, source))
        return (made,)


class CreateHookLora(_CreateHook):
    """A LoRA for the conditionings that carry it."""

    DISPLAY_NAME = "Create Hook LoRA"
    REQUIRED = inputs(
        lora_name=(FileOptions("loras"),), strength_model=_STRENGTH, strength_clip=_STRENGTH
    )

    def run(
        self,
        lora_name: str,
        strength_model: float,
        strength_clip: float,
        prev_hooks: HookGroup | None = None,
    ) -> tuple[HookGroup]:
        """Strengths are multiplied by those of keyframes."""
        if strength_model == 0 and strength_clip == 0:
            return (prev_hooks or HookGroup(),)
        lora = load_lora(self.context.folders.full_path("loras", lora_name))
        return self._added(prev_hooks, LoraSource(lora), strength_model, strength_clip)


class CreateHookLoraModelOnly(CreateHookLora):
    """A LoRA for the conditionings that carry it, not for the text encoder."""

    DISPLAY_NAME = "Create Hook LoRA (MO)"
    REQUIRED = inputs(lora_name=(FileOptions("loras"),), strength_model=_STRENGTH)

    def run(  # type: ignore[override]
        self, lora_name: str, strength_model: float, prev_hooks: HookGroup | None = None
    ) -> tuple[HookGroup]:
        """The diffusion model alone changes."""
        return super().run(lora_name, strength_model, 0.0, prev_hooks)


class CreateHookModelAsLora(_CreateHook):
    """Another checkpoint for the conditionings that carry it."""

    DISPLAY_NAME = "Create Hook Model as LoRA"
    REQUIRED = inputs(
        ckpt_name=(FileOptions("checkpoints"),), strength_model=_STRENGTH, strength_clip=_STRENGTH
    )

    def run(
        self,
        ckpt_name: str,
        strength_model: float,
        strength_clip: float,
        prev_hooks: HookGroup | None = None,
    ) -> tuple[HookGroup]:
        """At strength 1 the weights are those of the other checkpoint."""
        path = self.context.folders.full_path("checkpoints", ckpt_name)
        source = CheckpointSource(load_checkpoint(path, self.context.policy))
        return self._added(prev_hooks, source, strength_model, strength_clip)


class CreateHookModelAsLoraModelOnly(CreateHookModelAsLora):
    """Another checkpoint's diffusion model for the conditionings that carry it."""

    DISPLAY_NAME = "Create Hook Model as LoRA (MO)"
    REQUIRED = inputs(ckpt_name=(FileOptions("checkpoints"),), strength_model=_STRENGTH)

    def run(  # type: ignore[override]
        self, ckpt_name: str, strength_model: float, prev_hooks: HookGroup | None = None
    ) -> tuple[HookGroup]:
        """The diffusion model alone changes."""
        return super().run(ckpt_name, strength_model, 0.0, prev_hooks)


class _Keyframes(_HookNode):
    CATEGORY = "advanced/hooks/scheduling"
    OPTIONAL = inputs(prev_hook_kf=("HOOK_KEYFRAMES",))
    RETURN_TYPES = ("HOOK_KEYFRAMES",)
    RETURN_NAMES = ("HOOK_KF",)

    def _shown(self, made: HookKeyframeGroup, shown: bool) -> tuple[HookKeyframeGroup]:
        for frame in made.keyframes if shown else ():
            logger.info("hook keyframe at %s: strength %s", frame.start_percent, frame.strength)
        return (made,)


class CreateHookKeyframe(_Keyframes):
    """A strength of hooks from a part of the run on."""

    DISPLAY_NAME = "Create Hook Keyframe"
    REQUIRED = inputs(
        strength_mult=("FLOAT", {"default": 1.0, "min": -20.0, "max": 20.0, "step": 0.01}),
        start_percent=_START,
    )

    def run(
        self,
        strength_mult: float,
        start_percent: float,
        prev_hook_kf: HookKeyframeGroup | None = None,
    ) -> tuple[HookKeyframeGroup]:
        """It multiplies the hooks' own strengths."""
        made = HookKeyframeGroup() if prev_hook_kf is None else prev_hook_kf.clone()
        made.add(HookKeyframe(strength_mult, start_percent))
        return (made,)


class CreateHookKeyframesInterpolated(_Keyframes):
    """Strengths of hooks on a curve."""

    DISPLAY_NAME = "Create Hook Keyframes Interp."
    REQUIRED = inputs(
        strength_start=_AMOUNT,
        strength_end=_AMOUNT,
        interpolation=(list(EASINGS),),
        start_percent=_START,
        end_percent=_END,
        keyframes_count=("INT", {"default": 5, "min": 2, "max": 100, "step": 1}),
        print_keyframes=("BOOLEAN", {"default": False}),
    )

    def run(
        self,
        strength_start: float,
        strength_end: float,
        interpolation: str,
        start_percent: float,
        end_percent: float,
        keyframes_count: int,
        print_keyframes: bool = False,
        prev_hook_kf: HookKeyframeGroup | None = None,
    ) -> tuple[HookKeyframeGroup]:
        """At equal distances in time."""
        strengths = eased(strength_start, strength_end, keyframes_count, interpolation)
        made = series(strengths, start_percent, end_percent, prev_hook_kf)
        return self._shown(made, print_keyframes)


class CreateHookKeyframesFromFloats(_Keyframes):
    """Strengths of hooks from a list of numbers."""

    DISPLAY_NAME = "Create Hook Keyframes From Floats"
    REQUIRED = inputs(
        floats_strength=(
            "FLOATS",
            {"default": -1, "min": -1, "step": 0.001, "forceInput": True},
        ),
        start_percent=_START,
        end_percent=_END,
        print_keyframes=("BOOLEAN", {"default": False}),
    )

    def run(
        self,
        floats_strength: float | Sequence[float],
        start_percent: float,
        end_percent: float,
        print_keyframes: bool = False,
        prev_hook_kf: HookKeyframeGroup | None = None,
    ) -> tuple[HookKeyframeGroup]:
        """At equal distances in time; one number is a list of one."""
        is_list = isinstance(floats_strength, Sequence)
        strengths: Any = list(floats_strength) if is_list else [floats_strength]  # type: ignore[arg-type]
        made = series(strengths, start_percent, end_percent, prev_hook_kf)
        return self._shown(made, print_keyframes)


class SetHookKeyframes(_HookNode):
    """Gives hooks a course over the run."""

    DISPLAY_NAME = "Set Hook Keyframes"
    CATEGORY = "advanced/hooks/scheduling"
    REQUIRED = inputs(hooks=("HOOKS",))
    OPTIONAL = inputs(hook_kf=("HOOK_KEYFRAMES",))
    RETURN_TYPES = ("HOOKS",)

    def run(self, hooks: HookGroup, hook_kf: HookKeyframeGroup | None = None) -> tuple[HookGroup]:
        """Without keyframes hooks stay as they are."""
        if hook_kf is None:
            return (hooks,)
        made = hooks.clone()
        made.set_keyframes_on_hooks(hook_kf)
        return (made,)


class SetClipHooks(_HookNode):
    """Has a text encoder use the hooks' weights."""

    DISPLAY_NAME = "Set CLIP Hooks"
    CATEGORY = "advanced/hooks/clip"
    REQUIRED = inputs(
        clip=("CLIP",),
        apply_to_conds=("BOOLEAN", {"default": True}),
        schedule_clip=("BOOLEAN", {"default": False}),
    )
    OPTIONAL = inputs(hooks=("HOOKS",))
    RETURN_TYPES = ("CLIP",)

    def run(
        self,
        clip: TextHandle | None,
        apply_to_conds: bool,
        schedule_clip: bool,
        hooks: HookGroup | None = None,
    ) -> tuple[TextHandle]:
        """Scheduled, prompts are encoded anew for each part of the run with other strengths."""
        encoder = need_text_encoder(clip)
        if hooks is None:
            return (encoder,)
        carried = TextHooks(group=hooks, on_conditioning=apply_to_conds, is_scheduled=schedule_clip)
        return (encoder.clone(hooks=carried),)


class _CombineHooks(_HookNode):
    CATEGORY = "advanced/hooks/combine"
    RETURN_TYPES = ("HOOKS",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """All inputs are optional, which clients are told so."""
        return {"required": {}, **super().INPUT_TYPES()}

    def run(self, **hooks: HookGroup | None) -> tuple[HookGroup | None]:
        """Those that are there."""
        return (HookGroup.combine_all_hooks(hooks[name] for name in sorted(hooks)),)


def _groups(letters: str) -> dict[str, tuple[str]]:
    return {f"hooks_{letter}": ("HOOKS",) for letter in letters}


class CombineHooks2(_CombineHooks):
    """Two groups of hooks in one."""

    DISPLAY_NAME = "Combine Hooks [2]"
    OPTIONAL = inputs(**_groups("AB"))


class CombineHooks4(_CombineHooks):
    """Up to four groups of hooks in one."""

    DISPLAY_NAME = "Combine Hooks [4]"
    OPTIONAL = inputs(**_groups("ABCD"))


class CombineHooks8(_CombineHooks):
    """Up to eight groups of hooks in one."""

    DISPLAY_NAME = "Combine Hooks [8]"
    OPTIONAL = inputs(**_groups("ABCDEFGH"))
