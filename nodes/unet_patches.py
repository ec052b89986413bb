"""Nodes that change what a UNet does inside."""

from __future__ import annotations

from torch import Tensor

from models.errors import InvalidInput
from models.guidance.attached import Predictions, after_guidance
from models.guidance.self_attention import (
    AttentionMap,
    perturbed_attention,
    self_attention,
)
from models.protocol.extension import CallbacksMP
from models.protocol.patcher import ModelPatcher
from models.unet_patches.deep_shrink import DeepShrink
from models.unet_patches.freeu import FreeU as FreeUPatch
from models.unet_patches.hypertile import HyperTile as HyperTilePatch
from models.unet_patches.token_merging import TokenMerging
from nodes.base import Declared, inputs
from nodes.schema import SchemaNode

_METHODS = ["bicubic", "nearest-exact", "bilinear", "area", "bislerp"]
_PIXELS = 8  # per latent element along each side


def _scale(default: float) -> Declared:
    return ("FLOAT", {"default": default, "min": 0.0, "max": 10.0, "step": 0.01})


def _part(default: float) -> Declared:
    return ("FLOAT", {"default": default, "min": 0.0, "max": 1.0, "step": 0.001})


class _FreeU(SchemaNode):
    CATEGORY = "model_patches/unet"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_freelunch"
    RETURN_TYPES = ("MODEL",)

    _by_content = False

    def run(
        self, model: ModelPatcher, b1: float, b2: float, s1: float, s2: float
    ) -> tuple[ModelPatcher]:
        """b scales the backbone, s the skip connections; 1 is the coarsest level, 2 the next."""
        width = getattr(model.get_model_object("diffusion_model"), "model_channels", None)
        if width is None:
            raise InvalidInput("FreeU changes the way up of a UNet, and this model has none")
        scales = {width * 4: (b1, s1), width * 2: (b2, s2)}
        patched = model.clone()
        patched.set_model_output_block_patch(FreeUPatch(scales=scales, by_content=self._by_content))
        return (patched,)


class FreeU(_FreeU):
    """More detail from the same model: weighs the parts of the way up of a UNet anew."""

    REQUIRED = inputs(
        model=("MODEL",), b1=_scale(1.1), b2=_scale(1.2), s1=_scale(0.9), s2=_scale(0.2)
    )


class FreeU_V2(_FreeU):
    """FreeU that scales the backbone only where it is active."""

    REQUIRED = inputs(
        model=("MODEL",), b1=_scale(1.3), b2=_scale(1.4), s1=_scale(0.9), s2=_scale(0.2)
    )
    _by_content = True


class PerturbedAttentionGuidance(SchemaNode):
    """Guides away from what the model predicts without self-attention in its middle."""

    CATEGORY = "model_patches/unet"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_pag"
    REQUIRED = inputs(
        model=("MODEL",),
        scale=(
            "FLOAT",
            {"default": 3.0, "min": 0.0, "max": 100.0, "step": 0.01, "round": 0.01},
        ),
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, scale: float) -> tuple[ModelPatcher]:
        """Takes one more evaluation a step."""
        return (after_guidance(model, lambda g, p: perturbed_attention(g, p, scale)),)


class SelfAttentionGuidance(SchemaNode):
    """Guides away from what the model predicts with its most salient parts blurred."""

    DISPLAY_NAME = "Self-Attention Guidance"
    CATEGORY = "_for_testing"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_sag"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        model=("MODEL",),
        scale=("FLOAT", {"default": 0.5, "min": -2.0, "max": 5.0, "step": 0.01}),
        blur_sigma=("FLOAT", {"default": 2.0, "min": 0.0, "max": 10.0, "step": 0.1}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, scale: float, blur_sigma: float) -> tuple[ModelPatcher]:
        """Takes one more evaluation a step, and the negative side at every scale of guidance."""
        watch = AttentionMap()

        def change(guided: Tensor, p: Predictions) -> Tensor:
            watched = watch.received
            if scale == 0 or watched is None:
                return guided
            return self_attention(guided, p, watched, scale=scale, blur_sigma=blur_sigma)

        patched = after_guidance(model, change, needs_negative=True)
        patched.set_model_attn1_replace(watch, "middle", 0)
        return (patched,)


class HyperTile(SchemaNode):
    """Faster at high resolutions: self-attention within tiles."""

    CATEGORY = "model_patches/unet"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hypertile"
    REQUIRED = inputs(
        model=("MODEL",),
        tile_size=("INT", {"default": 256, "min": 1, "max": 2048}),
        swap_size=("INT", {"default": 2, "min": 1, "max": 128}),
        max_depth=("INT", {"default": 0, "min": 0, "max": 10}),
        scale_depth=("BOOLEAN", {"default": False}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self,
        model: ModelPatcher,
        tile_size: int,
        swap_size: int,
        max_depth: int,
        scale_depth: bool,
    ) -> tuple[ModelPatcher]:
        """A tile has at least `tile_size` pixels a side, and never less than 32."""
        patch = HyperTilePatch(
            tile=max(32, tile_size) // _PIXELS,
            choices=swap_size,
            depth=max_depth,
            scale_depth=scale_depth,
        )
        patched = model.clone()
        patched.set_model_attn1_patch(patch.split)
        patched.set_model_attn1_output_patch(patch.join)
        patched.add_callback(CallbacksMP.ON_PRE_RUN, lambda patcher: patch.reset())
        return (patched,)


class TomePatchModel(SchemaNode):
    """Faster: merges tokens that are alike before self-attention."""

    CATEGORY = "model_patches/unet"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_tomesd"
    REQUIRED = inputs(
        model=("MODEL",),
        ratio=("FLOAT", {"default": 0.3, "min": 0.0, "max": 1.0, "step": 0.01}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, ratio: float) -> tuple[ModelPatcher]:
        """The ratio is that of the tokens that vanish, at most three quarters."""
        patch = TokenMerging(ratio)
        patched = model.clone()
        patched.set_model_attn1_patch(patch.shrink)
        patched.set_model_attn1_output_patch(patch.grow)
        patched.add_callback(CallbacksMP.ON_PRE_RUN, lambda patcher: patch.reset())
        return (patched,)


class PatchModelAddDownscale(SchemaNode):
    """For pictures larger than the model was made for: composes at a lower resolution."""

    DISPLAY_NAME = "PatchModelAddDownscale (Kohya Deep Shrink)"
    CATEGORY = "model_patches/unet"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_model_downscale"
    REQUIRED = inputs(
        model=("MODEL",),
        block_number=("INT", {"default": 3, "min": 1, "max": 32, "step": 1}),
        downscale_factor=("FLOAT", {"default": 2.0, "min": 0.1, "max": 9.0, "step": 0.001}),
        start_percent=_part(0.0),
        end_percent=_part(0.35),
        downscale_after_skip=("BOOLEAN", {"default": True}),
        downscale_method=(_METHODS,),
        upscale_method=(_METHODS,),
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self,
        model: ModelPatcher,
        block_number: int,
        downscale_factor: float,
        start_percent: float,
        end_percent: float,
        downscale_after_skip: bool,
        downscale_method: str,
        upscale_method: str,
    ) -> tuple[ModelPatcher]:
        """Behind a block on the way down, with its skip connection at full or lower resolution."""
        sampling = model.get_model_object("model_sampling")
        patch = DeepShrink(
            block=block_number,
            factor=downscale_factor,
            start_sigma=sampling.percent_to_sigma(start_percent),
            end_sigma=sampling.percent_to_sigma(end_percent),
            down_method=downscale_method,
            up_method=upscale_method,
        )
        patched = model.clone()
        if downscale_after_skip:
            patched.set_model_input_block_patch_after_skip(patch.shrink)
        else:
            patched.set_model_input_block_patch(patch.shrink)
        patched.set_model_output_block_patch(patch.grow)
        return (patched,)
