"""Qwen2.5-VL (Qwen-Image, OmniGen 2), arXiv 2502.13923, and Qwen2.5 without pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from models.families.language import qwen_pictures
from models.families.language.kind import LanguageKind, sizes, with_buffers
from models.families.language.layout import Layout
from models.families.language.qwen3 import is_tied
from models.families.language.seeing import Eyes, Seen
from models.network import Network, assemble
from models.stored.holding import Storage
from models.text.chunks import Picture

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLTextConfig

_HEAD: Final = 128  # channels
_VISION_HEAD: Final = 80
_STEPS: Final = 2  # positions that a second of a film takes
_WINDOWED: Final = 7  # layers of the vision model that see windows, before one that sees all
# Frequencies that turn with time, height and width: a quarter and twice three eighths.
_SECTIONS: Final = [16, 24, 24]


def _recognise(layout: Layout) -> bool:
    return layout.has("layers.0.self_attn.q_proj.bias") and not layout.has(
        "layers.0.self_attn.q_norm.weight"
    )


def _config(layout: Layout) -> Qwen2_5_VLTextConfig:
    from transformers import Qwen2_5_VLTextConfig

    return Qwen2_5_VLTextConfig(
        **sizes(layout, _HEAD),
        rms_norm_eps=1e-6,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 1_000_000.0,
            "mrope_section": _SECTIONS,
        },
    )


def _network() -> Any:
    from transformers import Qwen2_5_VLTextModel

    return Qwen2_5_VLTextModel


def _build_vision(layout: Layout, dtype: torch.dtype, storage: Storage) -> Network[Any] | None:
    vision = layout.vision
    if "merger.mlp.2.weight" not in vision.tensors:
        return None
    from transformers import Qwen2_5_VLVisionConfig
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
        Qwen2_5_VisionTransformerPretrainedModel,
    )

    width, depth = vision.shape("patch_embed.proj.weight", 5)[0], vision.count("blocks.{}.")

    def build() -> Any:
        config = Qwen2_5_VLVisionConfig(
            depth=depth,
            hidden_size=width,
            intermediate_size=vision.shape("blocks.0.mlp.gate_proj.weight", 2)[0],
            num_heads=width // _VISION_HEAD,
            out_hidden_size=vision.shape("merger.mlp.2.weight", 2)[0],
            fullatt_block_indexes=list(range(_WINDOWED, depth, _WINDOWED + 1)),
            attn_implementation="sdpa",
        )
        return with_buffers(Qwen2_5_VisionTransformerPretrainedModel(config))

    return assemble(build, vision.tensors, dtype, vision.path, storage=storage)


def _look(vision: Any, picture: Picture) -> Seen:
    patches, grid = _RETINA.patches(picture)
    step = int(_STEPS * qwen_pictures.FRAMES / qwen_pictures.SEEN_RATE) if picture.is_video else 1
    return qwen_pictures.seen(qwen_pictures.look(vision, patches, grid), grid, step)


def _introduce(picture: Picture) -> list[tuple[str, Picture]]:
    if picture.is_video:
        frames, _ = qwen_pictures.sampled(picture)
        picture = Picture(frames=frames, is_video=True)
    return [(qwen_pictures.IMAGE_FRAME, picture)]


_RETINA: Final = qwen_pictures.Retina(
    patch=14,
    mean=(0.48145466, 0.4578275, 0.40821073),  # of CLIP's pictures
    deviation=(0.26862954, 0.26130258, 0.27577711),
)
EYES: Final = Eyes(
    build=_build_vision,
    look=_look,
    mark=qwen_pictures.IMAGE_MARK,
    introduce=_introduce,
    arrange=qwen_pictures.arrange,
    outer_name=qwen_pictures.outer_name,
)
QWEN2_5_VL: Final = LanguageKind(
    name="qwen2_5_vl",
    recognise=_recognise,
    config=_config,
    network=_network,
    eyes=EYES,
    is_tied=is_tied,
)
