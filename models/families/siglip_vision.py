"""SigLIP image encoders (Zhai et al. 2023): configuration from shapes, built by transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import SiglipVisionModel

_EMBEDDINGS: Final = "vision_model.embeddings"
_HEAD: Final = "vision_model.head."


def build_siglip_vision(weights: Weights, dtype: torch.dtype) -> Network[SiglipVisionModel] | None:
    """The image encoder of a file; None if there is none. It has no token for the whole picture."""
    patches = f"{_EMBEDDINGS}.patch_embedding.weight"
    if patches not in weights.tensors or f"{_EMBEDDINGS}.class_embedding" in weights.tensors:
        return None
    from transformers import SiglipVisionConfig, SiglipVisionModel

    width, _, patch, _ = weights.shape(patches)
    positions = weights.shape(f"{_EMBEDDINGS}.position_embedding.weight")[0]
    options = weights.config("image_encoder")
    config = SiglipVisionConfig(
        hidden_size=width,
        intermediate_size=weights.shape("vision_model.encoder.layers.0.mlp.fc1.weight")[0],
        num_hidden_layers=weights.count("vision_model.encoder.layers.{}."),
        num_attention_heads=options.get("num_attention_heads", 16 if width > 768 else 12),
        image_size=round(positions**0.5) * patch,
        patch_size=patch,
        vision_use_head=any(name.startswith(_HEAD) for name in weights.tensors),
    )
    with torch.device("meta"):
        names = SiglipVisionModel(config).state_dict()
    # Whether names start with `vision_model.` depends on the release of transformers.
    bare = not any(name.startswith("vision_model.") for name in names)
    tensors = weights.below("vision_model.").tensors if bare else weights.tensors
    network = assemble(lambda: SiglipVisionModel(config), tensors, dtype, weights.path)
    inner = network.module if bare else network.module.vision_model
    # Not in the file as a rule, and so not assigned: the positions 0, 1, 2, ...
    inner.embeddings.position_ids = torch.arange(positions).unsqueeze(0)
    return network
