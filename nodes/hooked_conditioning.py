"""Nodes that put hooks, masks and ranges on conditionings, one or a positive and negative pair."""

from __future__ import annotations

from torch import Tensor

from models.conditioning import Conditioning
from models.hooked_conditioning import combined_with_default, with_properties
from models.protocol.hooks import HookGroup
from nodes.base import Node, inputs

Range = tuple[float, float]

_BOUNDS = "mask bounds"
_STRENGTH = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01})
_AREA = (["default", _BOUNDS],)
_PROPERTIES = inputs(mask=("MASK",), hooks=("HOOKS",), timesteps=("TIMESTEPS_RANGE",))


class _OnConditioning(Node):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hooks"
    EXPERIMENTAL = True


class _Single(_OnConditioning):
    CATEGORY = "advanced/hooks/cond single"
    RETURN_TYPES = ("CONDITIONING",)


class _Pair(_OnConditioning):
    CATEGORY = "advanced/hooks/cond pair"
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")


def _changed(
    conditioning: Conditioning,
    strength: float,
    set_cond_area: str,
    mask: Tensor | None,
    hooks: HookGroup | None,
    timesteps: Range | None,
) -> Conditioning:
    return with_properties(
        conditioning,
        strength=strength,
        cropped=set_cond_area == _BOUNDS,
        mask=mask,
        hooks=hooks,
        timesteps=timesteps,
    )


class ConditioningSetProperties(_Single):
    """Gives a prompt hooks, a mask and a part of the run."""

    DISPLAY_NAME = "Cond Set Props"
    REQUIRED = inputs(cond_NEW=("CONDITIONING",), strength=_STRENGTH, set_cond_area=_AREA)
    OPTIONAL = _PROPERTIES

    def run(
        self,
        cond_NEW: Conditioning,
        strength: float,
        set_cond_area: str,
        mask: Tensor | None = None,
        hooks: HookGroup | None = None,
        timesteps: Range | None = None,
    ) -> tuple[Conditioning]:
        """The strength is that of the mask."""
        return (_changed(cond_NEW, strength, set_cond_area, mask, hooks, timesteps),)


class ConditioningSetPropertiesAndCombine(_Single):
    """Gives a prompt hooks, a mask and a part of the run, and puts it beside another."""

    DISPLAY_NAME = "Cond Set Props Combine"
    REQUIRED = inputs(
        cond=("CONDITIONING",),
        cond_NEW=("CONDITIONING",),
        strength=_STRENGTH,
        set_cond_area=_AREA,
    )
    OPTIONAL = _PROPERTIES

    def run(
        self,
        cond: Conditioning,
        cond_NEW: Conditioning,
        strength: float,
        set_cond_area: str,
        mask: Tensor | None = None,
        hooks: HookGroup | None = None,
        timesteps: Range | None = None,
    ) -> tuple[Conditioning]:
        """The strength is that of the mask."""
        new = _changed(cond_NEW, strength, set_cond_area, mask, hooks, timesteps)
        return ([*cond, *new],)


class ConditioningSetDefaultCombine(_Single):
    """Has a prompt act where the masks of another leave something."""

    DISPLAY_NAME = "Cond Set Default Combine"
    REQUIRED = inputs(cond=("CONDITIONING",), cond_DEFAULT=("CONDITIONING",))
    OPTIONAL = inputs(hooks=("HOOKS",))

    def run(
        self, cond: Conditioning, cond_DEFAULT: Conditioning, hooks: HookGroup | None = None
    ) -> tuple[Conditioning]:
        """The hooks are for the default prompt."""
        return (combined_with_default(cond, cond_DEFAULT, hooks),)


class PairConditioningCombine(_Pair):
    """Has the predictions of two pairs of prompts averaged."""

    DISPLAY_NAME = "Cond Pair Combine"
    REQUIRED = inputs(
        positive_A=("CONDITIONING",),
        negative_A=("CONDITIONING",),
        positive_B=("CONDITIONING",),
        negative_B=("CONDITIONING",),
    )

    def run(
        self,
        positive_A: Conditioning,
        negative_A: Conditioning,
        positive_B: Conditioning,
        negative_B: Conditioning,
    ) -> tuple[Conditioning, Conditioning]:
        """The entries of both, side by side."""
        return [*positive_A, *positive_B], [*negative_A, *negative_B]


class PairConditioningSetProperties(_Pair):
    """Gives a pair of prompts hooks, a mask and a part of the run."""

    DISPLAY_NAME = "Cond Pair Set Props"
    REQUIRED = inputs(
        positive_NEW=("CONDITIONING",),
        negative_NEW=("CONDITIONING",),
        strength=_STRENGTH,
        set_cond_area=_AREA,
    )
    OPTIONAL = _PROPERTIES

    def run(
        self,
        positive_NEW: Conditioning,
        negative_NEW: Conditioning,
        strength: float,
        set_cond_area: str,
        mask: Tensor | None = None,
        hooks: HookGroup | None = None,
        timesteps: Range | None = None,
    ) -> tuple[Conditioning, Conditioning]:
        """The strength is that of the mask."""
        more = (strength, set_cond_area, mask, hooks, timesteps)
        return _changed(positive_NEW, *more), _changed(negative_NEW, *more)


class PairConditioningSetPropertiesAndCombine(_Pair):
    """Gives a pair of prompts hooks, a mask and a part of the run, and puts it beside another."""

    DISPLAY_NAME = "Cond Pair Set Props Combine"
    REQUIRED = inputs(
        positive=("CONDITIONING",),
        negative=("CONDITIONING",),
        positive_NEW=("CONDITIONING",),
        negative_NEW=("CONDITIONING",),
        strength=_STRENGTH,
        set_cond_area=_AREA,
    )
    OPTIONAL = _PROPERTIES

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        positive_NEW: Conditioning,
        negative_NEW: Conditioning,
        strength: float,
        set_cond_area: str,
        mask: Tensor | None = None,
        hooks: HookGroup | None = None,
        timesteps: Range | None = None,
    ) -> tuple[Conditioning, Conditioning]:
        """The strength is that of the mask."""
        more = (strength, set_cond_area, mask, hooks, timesteps)
        return (
            [*positive, *_changed(positive_NEW, *more)],
            [*negative, *_changed(negative_NEW, *more)],
        )


class PairConditioningSetDefaultCombine(_Pair):
    """Has a pair of prompts act where the masks of another leave something."""

    DISPLAY_NAME = "Cond Pair Set Default Combine"
    REQUIRED = inputs(
        positive=("CONDITIONING",),
        negative=("CONDITIONING",),
        positive_DEFAULT=("CONDITIONING",),
        negative_DEFAULT=("CONDITIONING",),
    )
    OPTIONAL = inputs(hooks=("HOOKS",))

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        positive_DEFAULT: Conditioning,
        negative_DEFAULT: Conditioning,
        hooks: HookGroup | None = None,
    ) -> tuple[Conditioning, Conditioning]:
        """The hooks are for the default prompts."""
        return (
            combined_with_default(positive, positive_DEFAULT, hooks),
            combined_with_default(negative, negative_DEFAULT, hooks),
        )


class ConditioningTimestepsRange(_OnConditioning):
    """A part of the run, what is before it and what is after it."""

    DISPLAY_NAME = "Timesteps Range"
    CATEGORY = "advanced/hooks"
    REQUIRED = inputs(
        start_percent=("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.001}),
        end_percent=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.001}),
    )
    RETURN_TYPES = ("TIMESTEPS_RANGE", "TIMESTEPS_RANGE", "TIMESTEPS_RANGE")
    RETURN_NAMES = ("TIMESTEPS_RANGE", "BEFORE_RANGE", "AFTER_RANGE")

    def run(self, start_percent: float, end_percent: float) -> tuple[Range, Range, Range]:
        """As pairs of parts of the run."""
        return (start_percent, end_percent), (0.0, start_percent), (end_percent, 1.0)
