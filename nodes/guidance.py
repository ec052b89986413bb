"""Nodes that change how a model is guided by the positive and the negative prompt."""

from __future__ import annotations

import torch
from torch import Tensor

from models.conditioning import Conditioning
from models.guidance.attached import (
    Predictions,
    after_guidance,
    before_guidance,
    guided_by,
    per_frame,
)
from models.guidance.course import with_scale_between
from models.guidance.frequencies import scale_frequencies
from models.guidance.mahiro import mahiro
from models.guidance.noise_scale import rescaled_score, scaled_epsilon
from models.guidance.projected import (
    AdaptiveProjection,
    perpendicular_negative,
    tangential_damping,
    zero_star,
)
from models.guidance.rescaled import (
    limited_length,
    limited_norm,
    norm_of_positive,
    rescale_cfg,
)
from models.protocol.extension import CallbacksMP
from models.protocol.object_schedule import ObjectPrediction
from models.protocol.patcher import ModelPatcher
from nodes.base import Node, inputs
from nodes.schema import SchemaNode

_MIN_CFG = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.5, "round": 0.01})


class RescaleCFG(Node):
    """Keeps strong guidance from overexposing the picture."""

    CATEGORY = "advanced/model"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_model_advanced"
    REQUIRED = inputs(
        model=("MODEL",),
        multiplier=("FLOAT", {"default": 0.7, "min": 0.0, "max": 1.0, "step": 0.01}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, multiplier: float) -> tuple[ModelPatcher]:
        """At 0 nothing changes."""

        def rule(p: Predictions) -> Tensor:
            return rescale_cfg(
                p.x, p.positive, p.negative, p.sigma, cfg=p.cfg, multiplier=multiplier
            )

        return (guided_by(model, rule),)


class APG(SchemaNode):
    """Guides less along the prediction itself, which saturates colours, than across it."""

    DISPLAY_NAME = "Adaptive Projected Guidance"
    CATEGORY = "sampling/custom_sampling"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_apg"
    REQUIRED = inputs(
        model=("MODEL",),
        eta=("FLOAT", {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}),
        norm_threshold=("FLOAT", {"default": 5.0, "min": 0.0, "max": 50.0, "step": 0.1}),
        momentum=("FLOAT", {"default": 0.0, "min": -5.0, "max": 1.0, "step": 0.01}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self, model: ModelPatcher, eta: float, norm_threshold: float, momentum: float
    ) -> tuple[ModelPatcher]:
        """A negative momentum pushes away from the directions of earlier steps."""
        projection = AdaptiveProjection(eta=eta, norm_threshold=norm_threshold, momentum=momentum)

        def change(x: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
            return positive + projection.difference(positive, negative), positive

        patched = before_guidance(model, change)
        patched.add_callback(CallbacksMP.ON_PRE_RUN, lambda patcher: projection.reset())
        return (patched,)


class CFGNorm(SchemaNode):
    """Keeps guided predictions from growing longer than the positive one."""

    CATEGORY = "advanced/guidance"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_cfg"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL",),
        strength=("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.01}),
    )
    OPTIONAL = inputs(pre_cfg=("BOOLEAN", {"default": False}))
    RETURN_TYPES = ("MODEL",)
    RETURN_NAMES = ("patched_model",)

    def run(
        self, model: ModelPatcher, strength: float, pre_cfg: bool = False
    ) -> tuple[ModelPatcher]:
        """The strength multiplies the result.

        With `pre_cfg` it is how far what the network says (not the clean latent) gets the length
        of the positive side, longer or shorter; this takes the place of the sampler's guidance.
        """
        if not pre_cfg:
            return (after_guidance(model, lambda g, p: limited_norm(g, p.positive, strength)),)

        def rule(p: Predictions) -> Tensor:
            return p.x - norm_of_positive(
                p.x - p.positive, p.x - p.negative, cfg=p.cfg, strength=strength
            )

        return (guided_by(model, rule),)


class CFGZeroStar(SchemaNode):
    """Brings the negative prediction near the positive one before it guides, for flow models."""

    CATEGORY = "advanced/guidance"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_cfg"
    REQUIRED = inputs(model=("MODEL",))
    RETURN_TYPES = ("MODEL",)
    RETURN_NAMES = ("patched_model",)

    def run(self, model: ModelPatcher) -> tuple[ModelPatcher]:
        """CFG-Zero* without the zeroed first steps."""

        def change(guided: Tensor, p: Predictions) -> Tensor:
            # Other rules may have guided: what is changed is the part that this one would.
            usual = torch.lerp(p.negative, p.positive, p.cfg)
            return guided + zero_star(p.x, p.positive, p.negative, p.cfg) - usual

        return (after_guidance(model, change),)


class TCFG(SchemaNode):
    """Takes out of the negative prediction what both prompts do not share a direction in."""

    DISPLAY_NAME = "Tangential Damping CFG"
    CATEGORY = "advanced/guidance"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_tcfg"
    REQUIRED = inputs(model=("MODEL",))
    RETURN_TYPES = ("MODEL",)
    RETURN_NAMES = ("patched_model",)

    def run(self, model: ModelPatcher) -> tuple[ModelPatcher]:
        """Works on predictions of the noise."""

        def change(x: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
            return positive, x - tangential_damping(x - positive, x - negative)

        return (before_guidance(model, change),)


class Mahiro(SchemaNode):
    """Leans to the positive prompt where both prompts agree."""

    DISPLAY_NAME = "Mahiro CFG"
    CATEGORY = "_for_testing"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_mahiro"
    EXPERIMENTAL = True
    REQUIRED = inputs(model=("MODEL",))
    RETURN_TYPES = ("MODEL",)
    RETURN_NAMES = ("patched_model",)

    def run(self, model: ModelPatcher) -> tuple[ModelPatcher]:
        """By the cosine of the predictions."""
        return (after_guidance(model, lambda g, p: mahiro(g, p.positive, p.negative, p.cfg)),)


class PerpNeg(SchemaNode):
    """Pushes away from the negative prompt only where it does not concern the positive one."""

    DISPLAY_NAME = "Perp-Neg (DEPRECATED by PerpNegGuider)"
    CATEGORY = "_for_testing"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_perpneg"
    DEPRECATED = True
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL",),
        empty_conditioning=("CONDITIONING",),
        neg_scale=("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.01}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self, model: ModelPatcher, empty_conditioning: Conditioning, neg_scale: float
    ) -> tuple[ModelPatcher]:
        """Directions are seen from the empty prompt's prediction."""

        def rule(p: Predictions) -> Tensor:
            neutral = p.of(empty_conditioning)
            return perpendicular_negative(
                p.positive, p.negative, neutral, cfg=p.cfg, neg_scale=neg_scale
            )

        return (guided_by(model, rule),)


class RenormCFG(SchemaNode):
    """Guides only late in the run, and limits the length of the result, as Lumina 2 does."""

    CATEGORY = "advanced/model"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lumina2"
    REQUIRED = inputs(
        model=("MODEL",),
        cfg_trunc=("FLOAT", {"default": 100, "min": 0.0, "max": 100.0, "step": 0.01}),
        renorm_cfg=("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.01}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, cfg_trunc: float, renorm_cfg: float) -> tuple[ModelPatcher]:
        """Levels from `cfg_trunc` on are not guided; a `renorm_cfg` of 0 sets no limit."""

        def rule(p: Predictions) -> Tensor:
            if float(p.sigma.flatten()[0]) >= cfg_trunc:
                return p.positive
            if renorm_cfg == 0:
                return torch.lerp(p.negative, p.positive, p.cfg)
            noises = p.x - p.positive, p.x - p.negative
            return p.x - limited_length(*noises, cfg=p.cfg, limit=renorm_cfg)

        return (guided_by(model, rule),)


class FreSca(SchemaNode):
    """Guides by low and high frequencies apart."""

    DISPLAY_NAME = "FreSca"
    CATEGORY = "_for_testing"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_fresca"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL",),
        scale_low=("FLOAT", {"default": 1.0, "min": 0, "max": 10, "step": 0.01}),
        scale_high=("FLOAT", {"default": 1.25, "min": 0, "max": 10, "step": 0.01}),
        freq_cutoff=("INT", {"default": 20, "min": 1, "max": 10000, "step": 1}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self, model: ModelPatcher, scale_low: float, scale_high: float, freq_cutoff: int
    ) -> tuple[ModelPatcher]:
        """Scales what the prompts differ in."""

        def change(x: Tensor, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
            difference = scale_frequencies(
                positive - negative, low=scale_low, high=scale_high, cutoff=freq_cutoff
            )
            return negative + difference, negative

        return (before_guidance(model, change),)


class EpsilonScaling(SchemaNode):
    """Corrects that models see less noise in training than in sampling."""

    NODE_NAME = "Epsilon Scaling"
    CATEGORY = "model_patches/unet"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_eps"
    REQUIRED = inputs(
        model=("MODEL",),
        scaling_factor=(
            "FLOAT",
            {"default": 1.005, "min": 0.5, "max": 1.5, "step": 0.001, "display": "number"},
        ),
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, scaling_factor: float) -> tuple[ModelPatcher]:
        """Predicted noise is divided by the factor."""
        factor = scaling_factor or 1e-9
        return (after_guidance(model, lambda guided, p: scaled_epsilon(p.x, guided, factor)),)


class TemporalScoreRescaling(SchemaNode):
    """Makes samples more typical or more diverse."""

    DISPLAY_NAME = "TSR - Temporal Score Rescaling"
    CATEGORY = "model_patches/unet"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_eps"
    REQUIRED = inputs(
        model=("MODEL",),
        tsr_k=(
            "FLOAT",
            {"default": 0.95, "min": 0.01, "max": 100.0, "step": 0.001, "display": "number"},
        ),
        tsr_sigma=(
            "FLOAT",
            {"default": 1.0, "min": 0.01, "max": 100.0, "step": 0.001, "display": "number"},
        ),
    )
    RETURN_TYPES = ("MODEL",)
    RETURN_NAMES = ("patched_model",)

    def run(self, model: ModelPatcher, tsr_k: float, tsr_sigma: float) -> tuple[ModelPatcher]:
        """k below 1 means more typical; sigma is the width of the distribution of pictures."""
        is_flow = ObjectPrediction(model.get_model_object("model_sampling")).is_flow

        def change(guided: Tensor, p: Predictions) -> Tensor:
            alpha = 1 - p.sigma if is_flow else torch.ones_like(p.sigma)
            return rescaled_score(p.x, guided, alpha=alpha, sigma=p.sigma, k=tsr_k, width=tsr_sigma)

        return (after_guidance(model, change),)


class CFGOverride(SchemaNode):
    """Guides by a scale of its own in a part of the run."""

    DISPLAY_NAME = "CFG Override"
    CATEGORY = "sampling/custom_sampling"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_cfg"
    REQUIRED = inputs(
        model=("MODEL",),
        cfg=("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.1}),
        start_percent=("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.001}),
        end_percent=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.001}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self, model: ModelPatcher, cfg: float, start_percent: float, end_percent: float
    ) -> tuple[ModelPatcher]:
        """Of several, the one nearest the sampler counts."""
        sampling = model.get_model_object("model_sampling")
        start, end = (float(sampling.percent_to_sigma(p)) for p in (start_percent, end_percent))
        return (with_scale_between(model, cfg, start, end),)


class VideoLinearCFGGuidance(Node):
    """Guides later frames more strongly."""

    CATEGORY = "sampling/video_models"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_video_model"
    REQUIRED = inputs(model=("MODEL",), min_cfg=_MIN_CFG)
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, min_cfg: float) -> tuple[ModelPatcher]:
        """From `min_cfg` at the first frame to the sampler's cfg at the last."""

        def course(frames: int) -> Tensor:
            return torch.linspace(0, 1, frames)

        return (guided_by(model, lambda p: per_frame(p, course, min_cfg)),)


class VideoTriangleCFGGuidance(Node):
    """Guides frames in the middle more strongly."""

    CATEGORY = "sampling/video_models"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_video_model"
    REQUIRED = inputs(model=("MODEL",), min_cfg=_MIN_CFG)
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, min_cfg: float) -> tuple[ModelPatcher]:
        """From `min_cfg` at both ends to the sampler's cfg in the middle."""

        def course(frames: int) -> Tensor:
            return 1 - (2 * torch.linspace(0, 1, frames) - 1).abs()

        return (guided_by(model, lambda p: per_frame(p, course, min_cfg)),)
