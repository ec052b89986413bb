"""Gemma 3 (LTX-2, NewBie), arXiv 2503.19786."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from models.families.language.kind import LanguageKind, normed_heads, sizes, with_buffers
from models.families.language.layout import Layout
from models.families.language.qwen_pictures import sampled
from models.families.language.seeing import Arranged, Eyes, Seen, Span, resized
from models.network import Network, assemble
from models.stored.holding import Storage
from models.text.chunks import Picture

if TYPE_CHECKING:
    from transformers import Gemma3TextConfig

_SMALL: Final = 1152  # the width of 1B, which takes no pictures and short contexts
_TOKENS_ASIDE: Final = 16  # of a picture: 256 in all
_VISION_HEADS: Final = 16
_PATCHES: Final = "embeddings.patch_embedding.weight"
_PROJECTION: Final = "mm_input_projection_weight"
_MARK: Final = "<image_soft_token>"
_FRAME: Final = f"\n\n<start_of_image>{_MARK}<end_of_image>\n\n"
_LARGE: Final = 5376  # the width of 27B, which scales by its width a head


def _recognise(layout: Layout) -> bool:
    return layout.has(
        "layers.0.pre_feedforward_layernorm.weight", "layers.0.self_attn.q_norm.weight"
    ) and not layout.has("layers.0.layer_scalar")


def _config(layout: Layout) -> Gemma3TextConfig:
    from transformers import Gemma3TextConfig

    head_width = normed_heads(layout.text)
    width = layout.text.shape("embed_tokens.weight", 2)[1]
    is_small = width <= _SMALL and not layout.vision.tensors
    scaling = {"rope_type": "default"} if is_small else {"rope_type": "linear", "factor": 8.0}
    shared = sizes(layout, head_width)
    return Gemma3TextConfig(
        **shared,
        head_dim=head_width,
        query_pre_attn_scalar=width // shared["num_attention_heads"]
        if width == _LARGE
        else head_width,
        sliding_window=512 if is_small else 1024,
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
            "full_attention": {**scaling, "rope_theta": 1_000_000.0},
        },
    )


def _network() -> Any:
    from transformers import Gemma3TextModel

    return Gemma3TextModel


class _Eyes(nn.Module):
    """A vision model, and what brings its features to the width of the text model."""

    def __init__(self, vision: Any, text_width: int) -> None:
        from transformers import Gemma3Config, Gemma3TextConfig, SiglipVisionModel
        from transformers.models.gemma3.modeling_gemma3 import Gemma3MultiModalProjector

        super().__init__()
        text = Gemma3TextConfig(hidden_size=text_width, num_attention_heads=1)
        whole = Gemma3Config(
            text_config=text, vision_config=vision, mm_tokens_per_image=_TOKENS_ASIDE**2
        )
        self.vision = SiglipVisionModel(vision)
        self.projector = Gemma3MultiModalProjector(whole)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features [B, 256, D] of pictures [B, 3, S, S] of -1 to 1."""
        features: Tensor = self.projector(self.vision(pixel_values=pixels).last_hidden_state)
        return features


def _build_vision(layout: Layout, dtype: torch.dtype, storage: Storage) -> Network[Any] | None:
    vision, projector = layout.vision, layout.projector
    if _PATCHES not in vision.tensors or _PROJECTION not in projector.tensors:
        return None
    from transformers import SiglipVisionConfig

    width, _, patch, _ = vision.shape(_PATCHES, 4)
    aside = round(vision.shape("embeddings.position_embedding.weight", 2)[0] ** 0.5)

    def build() -> Any:
        config = SiglipVisionConfig(
            hidden_size=width,
            intermediate_size=vision.shape("encoder.layers.0.mlp.fc1.weight", 2)[0],
            num_hidden_layers=vision.count("encoder.layers.{}."),
            num_attention_heads=_VISION_HEADS,
            image_size=aside * patch,
            patch_size=patch,
            vision_use_head=False,
            attn_implementation="sdpa",
        )
        return with_buffers(_Eyes(config, projector.shape(_PROJECTION, 2)[1]))

    with torch.device("meta"):
        names = build().state_dict()
    # Whether names start with `vision_model.` depends on the release of transformers.
    inner = "vision.vision_model." if any(".vision_model." in name for name in names) else "vision."
    tensors = {inner + name: tensor for name, tensor in vision.tensors.items()}
    tensors |= {f"projector.{name}": tensor for name, tensor in projector.tensors.items()}
    return assemble(build, tensors, dtype, vision.path, storage=storage)


def _look(eyes: Any, picture: Picture) -> Seen:
    weight = next(eyes.parameters())
    side = eyes.vision.config.image_size
    pixels = resized(picture.frames[:1], side, side, "bilinear") * 2 - 1
    features = eyes(pixels.to(weight.device, weight.dtype))
    return Seen(features=features[0], grid=(1, _TOKENS_ASIDE, _TOKENS_ASIDE))


def _introduce(picture: Picture) -> list[tuple[str, Picture]]:
    """A film is pictures of some of its frames."""
    frames = sampled(picture)[0] if picture.is_video else picture.frames
    return [(_FRAME, Picture(frames=frame[None])) for frame in frames]


def _arrange(model: Any, embeds: Tensor, spans: Sequence[Span]) -> Arranged:
    """All tokens of a picture attend to one another."""
    from transformers.models.gemma3.modeling_gemma3 import create_masks_for_vision_model

    blocks = torch.full(embeds.shape[:2], -1, device=embeds.device)
    for number, span in enumerate(spans):
        blocks[:, span.start : span.stop] = number
    masks = create_masks_for_vision_model(model.config, embeds, None, None, None, blocks)
    return Arranged(embeds=embeds, arguments={"attention_mask": masks})


def _outer_name(name: str) -> str:
    if name.startswith("projector."):
        return name.replace("projector.", "multi_modal_projector.", 1)
    return "vision_model." + name.removeprefix("vision.").removeprefix("vision_model.")


EYES: Final = Eyes(
    build=_build_vision,
    look=_look,
    mark=_MARK,
    introduce=_introduce,
    arrange=_arrange,
    outer_name=_outer_name,
)
GEMMA3: Final = LanguageKind(
    name="gemma3", recognise=_recognise, config=_config, network=_network, eyes=EYES
)
