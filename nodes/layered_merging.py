"""Nodes that merge models of one layout, with a ratio for each of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nodes.model_merging import ModelMergeBlocks, layers

_COSMOS: Final = ("pos_embedder.", "extra_pos_embedder.", "x_embedder.", "t_embedder.")
_COSMOS_2: Final = ("pos_embedder.", "x_embedder.", "t_embedder.", "t_embedding_norm.")
_SD3: Final = ("pos_embed.", "x_embedder.", "context_embedder.", "y_embedder.", "t_embedder.")


def _each(name: str, count: int, end: str = ".") -> Iterator[str]:
    """The numbered parts of one kind."""
    return (f"{name}{index}{end}" for index in range(count))


class _Layout(ModelMergeBlocks):
    CATEGORY = "advanced/model_merging/model_specific"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_model_merging_model_specific"


class ModelMergeSD1(_Layout):
    """SD 1."""

    REQUIRED = layers(
        "time_embed.",
        "label_emb.",
        *_each("input_blocks.", 12),
        *_each("middle_block.", 3),
        *_each("output_blocks.", 12),
        "out.",
    )


class ModelMergeSD2(_Layout):
    """SD 2, whose parts are those of SD 1."""

    REQUIRED = ModelMergeSD1.REQUIRED


class ModelMergeSDXL(_Layout):
    """SDXL."""

    REQUIRED = layers(
        "time_embed.",
        "label_emb.",
        *_each("input_blocks.", 9, ""),
        *_each("middle_block.", 3, ""),
        *_each("output_blocks.", 9, ""),
        "out.",
    )


class ModelMergeSD3_2B(_Layout):
    """SD 3 with 2 billion weights."""

    REQUIRED = layers(*_SD3, *_each("joint_blocks.", 24), "final_layer.")


class ModelMergeSD35_Large(_Layout):
    """SD 3.5 Large."""

    REQUIRED = layers(*_SD3, *_each("joint_blocks.", 38), "final_layer.")


class ModelMergeAuraflow(_Layout):
    """AuraFlow."""

    REQUIRED = layers(
        "init_x_linear.",
        "positional_encoding",
        "cond_seq_linear.",
        "register_tokens",
        "t_embedder.",
        *_each("double_layers.", 4),
        *_each("single_layers.", 32),
        "modF.",
        "final_linear.",
    )


class ModelMergeFlux1(_Layout):
    """Flux.1."""

    REQUIRED = layers(
        "img_in.",
        "time_in.",
        "guidance_in",
        "vector_in.",
        "txt_in.",
        *_each("double_blocks.", 19),
        *_each("single_blocks.", 38),
        "final_layer.",
    )


class ModelMergeMochiPreview(_Layout):
    """Mochi 1 Preview."""

    REQUIRED = layers(
        "pos_frequencies.",
        "t_embedder.",
        "t5_y_embedder.",
        "t5_yproj.",
        *_each("blocks.", 48),
        "final_layer.",
    )


class ModelMergeLTXV(_Layout):
    """LTX-Video."""

    REQUIRED = layers(
        "patchify_proj.",
        "adaln_single.",
        "caption_projection.",
        *_each("transformer_blocks.", 28),
        "scale_shift_table",
        "proj_out.",
    )


class ModelMergeCosmos7B(_Layout):
    """Cosmos 1 with 7 billion weights."""

    REQUIRED = layers(*_COSMOS, "affline_norm.", *_each("blocks.block", 28), "final_layer.")


class ModelMergeCosmos14B(_Layout):
    """Cosmos 1 with 14 billion weights."""

    REQUIRED = layers(*_COSMOS, "affline_norm.", *_each("blocks.block", 36), "final_layer.")


class ModelMergeCosmosPredict2_2B(_Layout):
    """Cosmos Predict 2 with 2 billion weights."""

    REQUIRED = layers(*_COSMOS_2, *_each("blocks.", 28), "final_layer.")


class ModelMergeCosmosPredict2_14B(_Layout):
    """Cosmos Predict 2 with 14 billion weights."""

    REQUIRED = layers(*_COSMOS_2, *_each("blocks.", 36), "final_layer.")


class ModelMergeWAN2_1(_Layout):
    """Wan 2.1."""

    REQUIRED = layers(
        "patch_embedding.",
        "time_embedding.",
        "time_projection.",
        "text_embedding.",
        "img_emb.",
        *_each("blocks.", 40),
        "head.",
    )


class ModelMergeQwenImage(_Layout):
    """Qwen-Image."""

    REQUIRED = layers(
        "pos_embeds.",
        "img_in.",
        "txt_norm.",
        "txt_in.",
        "time_text_embed.",
        *_each("transformer_blocks.", 60),
        "proj_out.",
    )
