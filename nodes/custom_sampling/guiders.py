"""Nodes that put a model and prompts together."""

from __future__ import annotations

from models.handle import ModelHandle
from models.protocol import guider, guiders
from models.protocol.two_models import DualModelGuider as DualModel
from models.sampling.conditioning import Conditioning
from nodes.base import inputs
from nodes.custom_sampling.base import CustomSamplingNode, number
from nodes.sampling import CFG


class _GuiderNode(CustomSamplingNode):
    """A node that makes a guider."""

    CATEGORY = "sampling/custom_sampling/guiders"
    RETURN_TYPES = ("GUIDER",)


class BasicGuider(_GuiderNode):
    """One prompt, no guidance."""

    REQUIRED = inputs(model=("MODEL",), conditioning=("CONDITIONING",))

    def run(self, model: ModelHandle, conditioning: Conditioning) -> tuple[guiders.BasicGuider]:
        """For distilled models."""
        made = guiders.BasicGuider(model)
        made.set_conds(conditioning)
        return (made,)


class CFGGuider(_GuiderNode):
    """Classifier-free guidance between two prompts."""

    REQUIRED = inputs(
        model=("MODEL",), positive=("CONDITIONING",), negative=("CONDITIONING",), cfg=CFG
    )

    def run(
        self, model: ModelHandle, positive: Conditioning, negative: Conditioning, cfg: float
    ) -> tuple[guider.CFGGuider]:
        """At a scale of 1 the negative prompt is not evaluated."""
        made = guider.CFGGuider(model)
        made.set_conds(positive, negative)
        made.set_cfg(cfg)
        return (made,)


class DualCFGGuider(_GuiderNode):
    """Two prompts beside the negative one, each with its scale."""

    REQUIRED = inputs(
        model=("MODEL",),
        cond1=("CONDITIONING",),
        cond2=("CONDITIONING",),
        negative=("CONDITIONING",),
        cfg_conds=CFG,
        cfg_cond2_negative=CFG,
        style=(["regular", "nested"],),
    )

    def run(
        self,
        model: ModelHandle,
        cond1: Conditioning,
        cond2: Conditioning,
        negative: Conditioning,
        cfg_conds: float,
        cfg_cond2_negative: float,
        style: str,
    ) -> tuple[guiders.DualCFGGuider]:
        """The second prompt is guided away from the negative one, the first from the second."""
        made = guiders.DualCFGGuider(model)
        made.set_conds(cond1, cond2, negative)
        made.set_cfg(cfg_conds, cfg_cond2_negative, nested=style == "nested")
        return (made,)


class LTXVDualCFGGuider(_GuiderNode):
    """Classifier-free guidance with a scale for a film and one for its sound."""

    DISPLAY_NAME = "LTXV Dual CFG Guider"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lt"
    REQUIRED = inputs(
        model=("MODEL",),
        positive=("CONDITIONING",),
        negative=("CONDITIONING",),
        video_cfg=number(3.0, 0.0, 100.0, 0.1),
        audio_cfg=number(7.0, 0.0, 100.0, 0.1),
    )

    def run(
        self,
        model: ModelHandle,
        positive: Conditioning,
        negative: Conditioning,
        video_cfg: float,
        audio_cfg: float,
    ) -> tuple[guiders.FilmAndSoundGuider]:
        """A latent without a sound has the film's scale."""
        made = guiders.FilmAndSoundGuider(model)
        made.set_conds(positive, negative)
        made.set_cfg(video_cfg, audio_cfg)
        return (made,)


class DualModelGuider(_GuiderNode):
    """Classifier-free guidance of one model away from another one."""

    DISPLAY_NAME = "Dual Model CFG Guider"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL",),
        positive=("CONDITIONING",),
        cfg=number(4.0, 0.0, 100.0, 0.1),
    )
    OPTIONAL = inputs(model_negative=("MODEL",), negative=("CONDITIONING",))

    def run(
        self,
        model: ModelHandle,
        positive: Conditioning,
        cfg: float,
        model_negative: ModelHandle | None = None,
        negative: Conditioning | None = None,
    ) -> tuple[DualModel]:
        """Without a second model the first one predicts both sides."""
        made = DualModel(model, model if model_negative is None else model_negative)
        made.set_conds(positive, negative)
        made.set_cfg(cfg)
        return (made,)


class PerpNegGuider(_GuiderNode):
    """Guidance by what of the negative prompt is new to the positive one (Perp-Neg)."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_perpneg"
    CATEGORY = "_for_testing"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL",),
        positive=("CONDITIONING",),
        negative=("CONDITIONING",),
        empty_conditioning=("CONDITIONING",),
        cfg=CFG,
        neg_scale=number(1.0, 0.0, 100.0),
    )

    def run(
        self,
        model: ModelHandle,
        positive: Conditioning,
        negative: Conditioning,
        empty_conditioning: Conditioning,
        cfg: float,
        neg_scale: float,
    ) -> tuple[guiders.PerpNegGuider]:
        """`neg_scale` is the share of the negative prompt."""
        made = guiders.PerpNegGuider(model)
        made.set_conds(positive, negative, empty_conditioning)
        made.set_cfg(cfg, neg_scale)
        return (made,)
