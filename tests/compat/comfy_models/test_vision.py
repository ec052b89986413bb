"""Image encoders under the names that packs import."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from comfy import clip_vision
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection


def test_an_encoder_loads_from_a_file_and_looks_at_pictures(tmp_path: Path) -> None:
    config = CLIPVisionConfig(
        hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=12,
        image_size=16, patch_size=8, projection_dim=6,
    )  # fmt: skip
    module = CLIPVisionModelWithProjection(config).eval()
    metadata = {"darkroom.config": json.dumps({})}
    save_file(module.state_dict(), tmp_path / "v.safetensors", metadata)
    model = clip_vision.load(str(tmp_path / "v.safetensors"))
    assert isinstance(model, clip_vision.ClipVisionModel)
    picture = torch.rand(1, 16, 16, 3)
    said = model.encode_image(picture)
    pixels = clip_vision.clip_preprocess(picture, 16)
    with torch.no_grad():
        assert torch.allclose(said.image_embeds, module(pixels).image_embeds, atol=1e-5)
    other = clip_vision.load_clipvision_from_sd(module.state_dict())
    assert torch.allclose(other.encode_image(picture).image_embeds, said.image_embeds, atol=1e-5)
