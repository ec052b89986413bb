"""The `set_model_*` methods of models: each puts a function into `model_options`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch

from models.protocol import options as model_option

Function = Callable[..., Any]


class OptionSetters:
    """Mixed into ModelPatcher."""

    model_options: model_option.Options

    # Guidance

    def set_model_sampler_cfg_function(
        self, sampler_cfg_function: Function, disable_cfg1_optimization: bool = False
    ) -> None:
        """Guide by a function of a dict (or of cond, uncond, cond_scale) instead."""
        if len(signature(sampler_cfg_function).parameters) == 3:
            old_style = sampler_cfg_function

            def sampler_cfg_function(args: Any) -> Any:
                return old_style(args["cond"], args["uncond"], args["cond_scale"])

        self.model_options["sampler_cfg_function"] = sampler_cfg_function
        if disable_cfg1_optimization:
            self.model_options["disable_cfg1_optimization"] = True

    def set_model_sampler_post_cfg_function(
        self, post_cfg_function: Function, disable_cfg1_optimization: bool = False
    ) -> None:
        """Add a function of the guided prediction."""
        model_option.set_post_cfg_function(
            self.model_options, post_cfg_function, disable_cfg1_optimization
        )

    def set_model_sampler_pre_cfg_function(
        self, pre_cfg_function: Function, disable_cfg1_optimization: bool = False
    ) -> None:
        """Add a function of the predictions before guidance."""
        model_option.set_pre_cfg_function(
            self.model_options, pre_cfg_function, disable_cfg1_optimization
        )

    def set_model_sampler_calc_cond_batch_function(
        self, sampler_calc_cond_batch_function: Function
    ) -> None:
        """Predict all conditionings by a function instead."""
        self.model_options["sampler_calc_cond_batch_function"] = sampler_calc_cond_batch_function

    def set_model_unet_function_wrapper(self, unet_wrapper_function: Function) -> None:
        """Call the model through a function."""
        self.model_options["model_function_wrapper"] = unet_wrapper_function

    def set_model_denoise_mask_function(self, denoise_mask_function: Function) -> None:
        """Make the mask of each step by a function."""
        self.model_options["denoise_mask_function"] = denoise_mask_function

    # Layers

    def set_model_patch(self, patch: Any, name: str) -> None:
        """Add a patch at a named place of the transformer."""
        model_option.set_patch(self.model_options, patch, name)

    def set_model_patch_replace(
        self,
        patch: Any,
        name: str,
        block_name: str,
        number: int,
        transformer_index: int | None = None,
    ) -> None:
        """Replace what a block does under a name."""
        model_option.set_patch_replace(
            self.model_options, patch, name, block_name, number, transformer_index
        )

    def set_model_attn1_patch(self, patch: Any) -> None:
        """Change the inputs of self-attention."""
        self.set_model_patch(patch, "attn1_patch")

    def set_model_attn2_patch(self, patch: Any) -> None:
        """Change the inputs of cross-attention."""
        self.set_model_patch(patch, "attn2_patch")

    def set_model_attn1_replace(
        self, patch: Any, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Compute the self-attention of a block by a function."""
        self.set_model_patch_replace(patch, "attn1", block_name, number, transformer_index)

    def set_model_attn2_replace(
        self, patch: Any, block_name: str, number: int, transformer_index: int | None = None
    ) -> None:
        """Compute the cross-attention of a block by a function."""
        self.set_model_patch_replace(patch, "attn2", block_name, number, transformer_index)

    def set_model_attn1_output_patch(self, patch: Any) -> None:
        """Change what self-attention gives."""
        self.set_model_patch(patch, "attn1_output_patch")

    def set_model_attn2_output_patch(self, patch: Any) -> None:
        """Change what cross-attention gives."""
        self.set_model_patch(patch, "attn2_output_patch")

    def set_model_input_block_patch(self, patch: Any) -> None:
        """Change what a block on the way down gives, skip connection included."""
        self.set_model_patch(patch, "input_block_patch")

    def set_model_input_block_patch_after_skip(self, patch: Any) -> None:
        """Change what a block on the way down passes on, after the skip connection is taken."""
        self.set_model_patch(patch, "input_block_patch_after_skip")

    def set_model_output_block_patch(self, patch: Any) -> None:
        """Change what a block on the way up gets: the latent and the skip connection."""
        self.set_model_patch(patch, "output_block_patch")

    def set_model_emb_patch(self, patch: Any) -> None:
        """Change the embedding of the time."""
        self.set_model_patch(patch, "emb_patch")

    def set_model_forward_timestep_embed_patch(self, patch: Any) -> None:
        """Add handlers for layers of packs' own."""
        self.set_model_patch(patch, "forward_timestep_embed_patch")

    def set_model_double_block_patch(self, patch: Any) -> None:
        """Change what a double block of a diffusion transformer gives."""
        self.set_model_patch(patch, "double_block")

    def set_model_post_input_patch(self, patch: Any) -> None:
        """Change the tokens that enter a diffusion transformer."""
        self.set_model_patch(patch, "post_input")

    def set_model_compute_dtype(self, dtype: torch.dtype | None) -> None:
        """Compute in another type; None for the type that the model was loaded in."""
        self.model_options["compute_dtype"] = dtype
