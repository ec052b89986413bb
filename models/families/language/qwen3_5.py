"""Qwen3.5: linear attention (gated delta rule, arXiv 2412.06464) in three of four layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from models.errors import UnsupportedLayout
from models.families.language import qwen3_vl, qwen_pictures
from models.families.language.kind import LanguageKind, with_buffers
from models.families.language.layout import Layout
from models.families.language.qwen3 import is_tied
from models.families.language.seeing import Eyes
from models.network import Network, assemble
from models.stored.holding import Storage

if TYPE_CHECKING:
    from transformers import Qwen3_5TextConfig

# A quarter of each head turns: frequencies of time, height and width.
_TURNING: Final = 0.25
_SECTIONS: Final = (11, 11, 10)
_LINEAR: Final = "layers.{}.linear_attn.out_proj.weight"
_WIDE: Final = 1024  # vision models from here on have 16 heads, others heads of 64 channels


def _recognise(layout: Layout) -> bool:
    return layout.has(_LINEAR.format(0))


def _config(layout: Layout) -> Qwen3_5TextConfig:
    from transformers import Qwen3_5TextConfig

    text = layout.text
    vocabulary, width = text.shape("embed_tokens.weight", 2)
    count = text.count("layers.{}.")
    is_linear = [layout.has(_LINEAR.format(number)) for number in range(count)]
    if all(is_linear):
        raise UnsupportedLayout(text.path, "none of its layers has attention of the usual kind")
    usual, linear = f"layers.{is_linear.index(False)}.self_attn.", "layers.0.linear_attn."
    head_width = text.shape(f"{usual}q_norm.weight", 1)[0]
    linear_head = text.shape(f"{linear}norm.weight", 1)[0]
    values = text.shape(f"{linear}out_proj.weight", 2)[1]
    keys = (text.shape(f"{linear}in_proj_qkv.weight", 2)[0] - values) // 2
    return Qwen3_5TextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=text.shape("layers.0.mlp.down_proj.weight", 2)[1],
        num_hidden_layers=count,
        # Queries come with a gate of their width.
        num_attention_heads=text.shape(f"{usual}q_proj.weight", 2)[0] // (2 * head_width),
        num_key_value_heads=text.shape(f"{usual}k_proj.weight", 2)[0] // head_width,
        head_dim=head_width,
        linear_conv_kernel_dim=text.shape(f"{linear}conv1d.weight", 3)[2],
        linear_key_head_dim=linear_head,
        linear_value_head_dim=linear_head,
        linear_num_key_heads=keys // linear_head,
        linear_num_value_heads=values // linear_head,
        layer_types=["linear_attention" if linear else "full_attention" for linear in is_linear],
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10_000_000.0,
            "partial_rotary_factor": _TURNING,
            "mrope_section": list(_SECTIONS),
            "mrope_interleaved": True,
        },
        attn_implementation="sdpa",
    )


def _network() -> Any:
    from transformers import Qwen3_5TextModel

    return Qwen3_5TextModel


def _build_vision(layout: Layout, dtype: torch.dtype, storage: Storage) -> Network[Any] | None:
    vision = layout.vision
    if "pos_embed.weight" not in vision.tensors:
        return None
    from transformers import Qwen3_5VisionConfig, Qwen3_5VisionModel

    width, _, _, patch, _ = vision.shape("patch_embed.proj.weight", 5)

    def build() -> Any:
        config = Qwen3_5VisionConfig(
            depth=vision.count("blocks.{}."),
            hidden_size=width,
            intermediate_size=vision.shape("blocks.0.mlp.linear_fc1.weight", 2)[0],
            num_heads=16 if width >= _WIDE else width // 64,
            patch_size=patch,
            out_hidden_size=vision.shape("merger.linear_fc2.weight", 2)[0],
            num_position_embeddings=vision.shape("pos_embed.weight", 2)[0],
            attn_implementation="sdpa",
        )
        return with_buffers(Qwen3_5VisionModel(config))

    return assemble(build, vision.tensors, dtype, vision.path, storage=storage)


QWEN3_5: Final = LanguageKind(
    name="qwen3_5",
    recognise=_recognise,
    config=_config,
    network=_network,
    eyes=Eyes(
        build=_build_vision,
        look=qwen3_vl.EYES.look,
        mark=qwen_pictures.IMAGE_MARK,
        introduce=qwen3_vl.EYES.introduce,
        arrange=qwen_pictures.arrange,
        outer_name=qwen_pictures.outer_name,
    ),
    is_tied=is_tied,
)
