"""Qwen3-VL: Qwen3 with a vision model, of which also first layers are told (arXiv 2511.21631)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from models.families.language import qwen_pictures
from models.families.language.kind import LanguageKind, normed_heads, sizes, with_buffers
from models.families.language.layout import Layout
from models.families.language.qwen3 import is_tied
from models.families.language.seeing import Eyes, Seen, resized
from models.network import Network, assemble
from models.stored.holding import Storage
from models.text.chunks import Picture

if TYPE_CHECKING:
    from transformers import Qwen3VLTextConfig

# Frequencies that turn with time, height and width: those of height and width are alike.
_TURNING: Final = (24, 20, 20)
_VISION_HEADS: Final = 16
_TOLD: Final = {(24, 3): (5, 11, 17), (27, 3): (8, 16, 24)}
_STACKED: Final = "deepstack_merger_list.{}."


def _recognise(layout: Layout) -> bool:
    return (
        layout.has("layers.0.self_attn.q_norm.weight")
        and "pos_embed.weight" in layout.vision.tensors
    )


def _config(layout: Layout) -> Qwen3VLTextConfig:
    from transformers import Qwen3VLTextConfig

    head_width = normed_heads(layout.text)
    return Qwen3VLTextConfig(
        **sizes(layout, head_width),
        head_dim=head_width,
        rms_norm_eps=1e-6,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 5_000_000.0,
            "mrope_section": list(_TURNING),
            "mrope_interleaved": True,
        },
    )


def _network() -> Any:
    from transformers import Qwen3VLTextModel

    return Qwen3VLTextModel


def _told_layers(depth: int, count: int) -> list[int]:
    """Which layers of a vision model are told to the text model: as published, else evenly."""
    part = depth // (count + 1)
    even = [part * number - 1 for number in range(1, count + 1)]
    return list(_TOLD.get((depth, count), even))


def _build_vision(layout: Layout, dtype: torch.dtype, storage: Storage) -> Network[Any] | None:
    vision = layout.vision
    from transformers import Qwen3VLVisionConfig, Qwen3VLVisionModel

    width, _, _, patch, _ = vision.shape("patch_embed.proj.weight", 5)
    depth = vision.count("blocks.{}.")

    def build() -> Any:
        config = Qwen3VLVisionConfig(
            depth=depth,
            hidden_size=width,
            intermediate_size=vision.shape("blocks.0.mlp.linear_fc1.weight", 2)[0],
            num_heads=_VISION_HEADS,
            patch_size=patch,
            out_hidden_size=vision.shape("merger.linear_fc2.weight", 2)[0],
            num_position_embeddings=vision.shape("pos_embed.weight", 2)[0],
            deepstack_visual_indexes=_told_layers(depth, vision.count(_STACKED)),
            attn_implementation="sdpa",
        )
        return with_buffers(Qwen3VLVisionModel(config))

    return assemble(build, vision.tensors, dtype, vision.path, storage=storage)


def _look(vision: Any, picture: Picture) -> Seen:
    patches, grid = RETINA.patches(picture)
    return qwen_pictures.seen(qwen_pictures.look(vision, patches, grid), grid)


def _introduce(picture: Picture) -> list[tuple[str, Picture]]:
    """A film is pictures of two frames, each after the second that is between them."""
    if not picture.is_video:
        return [(qwen_pictures.IMAGE_FRAME, picture)]
    frames, numbers = qwen_pictures.sampled(picture)
    frames = resized(frames, *RETINA.film_size(frames), "bicubic").movedim(1, -1)
    if len(frames) % qwen_pictures.FRAMES:
        frames, numbers = torch.cat([frames, frames[-1:]]), torch.cat([numbers, numbers[-1:]])
    found = []
    for pair, times in zip(torch.split(frames, 2), torch.split(numbers, 2), strict=True):
        second = float(times.double().mean()) / qwen_pictures.FILM_RATE
        text = f"<{second:.1f} seconds>{qwen_pictures.IMAGE_FRAME}"
        found.append((text, Picture(frames=pair, is_video=True)))
    return found


RETINA: Final = qwen_pictures.Retina(patch=16, mean=(0.5, 0.5, 0.5), deviation=(0.5, 0.5, 0.5))
EYES: Final = Eyes(
    build=_build_vision,
    look=_look,
    mark=qwen_pictures.IMAGE_MARK,
    introduce=_introduce,
    arrange=qwen_pictures.arrange,
    outer_name=qwen_pictures.outer_name,
)
QWEN3_VL: Final = LanguageKind(
    name="qwen3_vl",
    recognise=_recognise,
    config=_config,
    network=_network,
    eyes=EYES,
    is_tied=is_tied,
)
