"""Nodes that make one CONDITIONING of several, or of its own numbers."""

from __future__ import annotations

from models.conditioning import Conditioning, average, concatenate, zeroed
from nodes.base import Node, inputs


class ConditioningCombine(Node):
    """Has the predictions of both averaged at every step."""

    DISPLAY_NAME = "Conditioning (Combine)"
    CATEGORY = "conditioning"
    REQUIRED = inputs(conditioning_1=("CONDITIONING",), conditioning_2=("CONDITIONING",))
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self, conditioning_1: Conditioning, conditioning_2: Conditioning
    ) -> tuple[Conditioning]:
        """The entries of both."""
        return ([*conditioning_1, *conditioning_2],)


class ConditioningAverage(Node):
    """Mixes two encoded prompts into one."""

    CATEGORY = "conditioning"
    REQUIRED = inputs(
        conditioning_to=("CONDITIONING",),
        conditioning_from=("CONDITIONING",),
        conditioning_to_strength=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
    )
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self,
        conditioning_to: Conditioning,
        conditioning_from: Conditioning,
        conditioning_to_strength: float,
    ) -> tuple[Conditioning]:
        """At strength 1 the first prompt alone speaks."""
        return (average(conditioning_to, conditioning_from, conditioning_to_strength),)


class ConditioningConcat(Node):
    """Puts one encoded prompt behind another."""

    DISPLAY_NAME = "Conditioning (Concat)"
    CATEGORY = "conditioning"
    REQUIRED = inputs(conditioning_to=("CONDITIONING",), conditioning_from=("CONDITIONING",))
    RETURN_TYPES = ("CONDITIONING",)

    def run(
        self, conditioning_to: Conditioning, conditioning_from: Conditioning
    ) -> tuple[Conditioning]:
        """Along the token axis."""
        return (concatenate(conditioning_to, conditioning_from),)


class ConditioningZeroOut(Node):
    """An encoded prompt that says nothing."""

    CATEGORY = "advanced/conditioning"
    REQUIRED = inputs(conditioning=("CONDITIONING",))
    RETURN_TYPES = ("CONDITIONING",)

    def run(self, conditioning: Conditioning) -> tuple[Conditioning]:
        """Zeros of the same shape."""
        return (zeroed(conditioning),)
