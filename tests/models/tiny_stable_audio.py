"""Tiny Stable Audio with random weights: what diffusers makes of it, and files of it."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    CosineDPMSolverMultistepScheduler,
    StableAudioDiTModel,
    StableAudioPipeline,
    StableAudioProjectionModel,
)
from torch import Tensor
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from tests.models.audio import tiny_sounds
from tests.models.text.encoders import T5_TOKENIZER, randomised

WIDTH = 32  # of prompts
VAE = {
    "encoder_hidden_size": 128,
    "decoder_input_channels": 64,
    "downsampling_ratios": [2, 4],
    "channel_multiples": [1, 1],
}


def pipeline() -> StableAudioPipeline:
    """All parts; prompts are read as in the published pipeline."""
    text = T5Config(
        vocab_size=32128, d_model=WIDTH, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
        feed_forward_proj="relu",
    )  # fmt: skip
    transformer = StableAudioDiTModel(
        num_layers=2, num_attention_heads=2, num_key_value_attention_heads=1,
        cross_attention_dim=64, cross_attention_input_dim=WIDTH, global_states_input_dim=2 * WIDTH,
        time_proj_dim=16,
    )  # fmt: skip
    return StableAudioPipeline(
        vae=tiny_sounds.oobleck(**VAE),
        text_encoder=randomised(T5EncoderModel(text), 1),
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_file=str(T5_TOKENIZER), pad_token="<pad>", eos_token="</s>",
            model_max_length=128,
        ),
        projection_model=randomised(StableAudioProjectionModel(WIDTH, WIDTH, 0, 512), 2),
        transformer=randomised(transformer, 3),
        scheduler=CosineDPMSolverMultistepScheduler(),
    )  # fmt: skip


def checkpoint(made: StableAudioPipeline, prefix: str = "model.model.") -> dict[str, Tensor]:
    """The tensors of the published file: everything but the text encoder."""
    transformer = of_stable_audio_tools(made.transformer)
    sounds = tiny_sounds.of_stable_audio_tools(made.vae)
    found = {prefix + name: tensor for name, tensor in transformer.items()}
    found |= {f"pretransform.model.{name}": tensor for name, tensor in sounds.items()}
    sides = {"start_number_conditioner": "seconds_start", "end_number_conditioner": "seconds_total"}
    for name, tensor in made.projection_model.state_dict().items():
        side, _, rest = name.partition(".time_positional_embedding.")
        place = f"conditioner.conditioners.{sides[side]}.embedder.embedding."
        found[place + rest] = tensor.clone()
    return found


def of_stable_audio_tools(module: StableAudioDiTModel) -> dict[str, Tensor]:
    """The transformer under its authors' names, with fused projections."""
    words = {
        "proj_in.": "transformer.project_in.", "proj_out.": "transformer.project_out.",
        "time_proj.": "timestep_features.", "timestep_proj.": "to_timestep_embed.",
        "global_proj.": "to_global_embed.", "cross_attention_proj.": "to_cond_embed.",
    }  # fmt: skip
    inner = {
        "norm1": "pre_norm", "norm2": "cross_attend_norm", "norm3": "ff_norm",
        "attn1": "self_attn", "attn2": "cross_attn",
    }  # fmt: skip
    tensors = tiny_sounds.tensors_of(module)
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not name.startswith("transformer_blocks."):
            start = next((word for word in words if name.startswith(word)), "")
            found[words.get(start, "") + name.removeprefix(start)] = tensor
            continue
        _, block, part, rest = name.split(".", 3)
        own = f"transformer.layers.{block}.{inner.get(part, part)}."
        if part.startswith("norm"):
            found[own + {"weight": "gamma", "bias": "beta"}[rest]] = tensor
        elif part == "ff":
            found[own + rest.replace("net.", "ff.")] = tensor
        elif rest.startswith("to_out"):
            found[own + "to_out.weight"] = tensor
        elif part == "attn2" and rest.startswith("to_q"):
            found[own + "to_q.weight"] = tensor
        elif rest.startswith("to_v"):
            names = ("to_q", "to_k", "to_v") if part == "attn1" else ("to_k", "to_v")
            pieces = [tensors[name.replace("to_v", piece)] for piece in names]
            found[own + ("to_qkv" if part == "attn1" else "to_kv") + ".weight"] = torch.cat(pieces)
    found["timestep_features.weight"] = found["timestep_features.weight"][:, None].clone()
    found["transformer.rotary_pos_emb.inv_freq"] = torch.ones(16)
    return found


def text_tensors(made: StableAudioPipeline) -> dict[str, Tensor]:
    """Those of the file of T5-base."""
    tensors: dict[str, Any] = tiny_sounds.tensors_of(made.text_encoder)
    del tensors["encoder.embed_tokens.weight"]  # which is shared.weight
    return tensors
