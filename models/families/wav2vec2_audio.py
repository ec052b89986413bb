"""wav2vec 2.0 (Baevski et al. 2020, arXiv 2006.11477): configuration from shapes, built by
transformers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import UnsupportedLayout
from models.families.weight_norm import newer_name
from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import Wav2Vec2Model

PREFIX: Final = "wav2vec2."
_CONV: Final = "feature_extractor.conv_layers"
_STRIDES: Final = (5, 2, 2, 2, 2, 2, 2)  # of all published networks
_HEAD: Final = 64  # channels, of these as well
_LEAST: Final = 400  # samples that the first frame is made of


def build_wav2vec2(weights: Weights, dtype: torch.dtype) -> Network[Wav2Vec2Model] | None:
    """The encoder of a file, below a prefix or alone; None if there is none."""
    own = weights.below(PREFIX)
    if not own.tensors:
        own = weights
    if f"{_CONV}.0.conv.weight" not in own.tensors:
        return None
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    tensors = {newer_name(name): tensor for name, tensor in own.tensors.items()}
    named = Weights(path=weights.path, tensors=tensors)
    config = Wav2Vec2Config(**wav2vec2_config(named))
    return assemble(lambda: Wav2Vec2Model(config), tensors, dtype, weights.path)


def wav2vec2_config(encoder: Weights) -> dict[str, Any]:
    """Arguments of Wav2Vec2Config."""
    convolutions = [
        encoder.shape(f"{_CONV}.{place}.conv.weight", axes=3)
        for place in range(encoder.count(f"{_CONV}.{{}}."))
    ]
    if len(convolutions) != len(_STRIDES):
        raise UnsupportedLayout(encoder.path, "its ear has not the seven layers of wav2vec 2.0's")
    width = encoder.shape("feature_projection.projection.weight", axes=2)[0]
    places = "encoder.pos_conv_embed.conv.parametrizations.weight.original1"
    _, each, reach = encoder.shape(places, axes=3)
    # Networks whose convolutions all have norms have theirs before the layers of the transformer.
    is_normed = f"{_CONV}.1.layer_norm.weight" in encoder.tensors
    return {
        "hidden_size": width,
        "num_hidden_layers": encoder.count("encoder.layers.{}."),
        "num_attention_heads": max(1, width // _HEAD),
        "intermediate_size": encoder.shape(
            "encoder.layers.0.feed_forward.intermediate_dense.weight"
        )[0],
        "conv_dim": [wide for wide, _, _ in convolutions],
        "conv_kernel": [kernel for _, _, kernel in convolutions],
        "conv_stride": list(_STRIDES),
        "conv_bias": f"{_CONV}.0.conv.bias" in encoder.tensors,
        "feat_extract_norm": "layer" if is_normed else "group",
        "do_stable_layer_norm": is_normed,
        "num_conv_pos_embeddings": reach,
        "num_conv_pos_embedding_groups": width // each,
        "mask_time_prob": 0.0,  # of training
    }


def hear_with_wav2vec2(network: Any, sound: Tensor) -> tuple[Tensor, ...]:
    """States [1, frames, D], of samples [T]: before the first layer, and after each. 50 a second.

    The last ones are those behind the last norm. Sounds are brought to the mean 0 and the variance
    1, as in training.
    """
    heard = functional.pad(sound.float(), (0, max(0, _LEAST - len(sound))))
    heard = (heard - heard.mean()) / math.sqrt(heard.var(correction=0).item() + 1e-7)
    values = heard[None].to(network.device, network.dtype)
    said = network(values, output_hidden_states=True)
    return (*said.hidden_states[:-1], said.last_hidden_state)
