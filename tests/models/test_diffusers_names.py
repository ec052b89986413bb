"""Files with diffusers' names are the same models as those with the original names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.families.diffusers_names import with_original_names
from models.families.ldm_unet import build_unet
from models.families.ldm_vae import build_vae
from models.load import load_checkpoint, load_diffusers_folder
from models.memory import Policy
from models.sampling.prediction import VELOCITY
from models.weights import Weights
from tests.models.tiny import TinyModel

SHAPES = [
    TinyModel(),
    TinyModel(channels=(16, 32, 32), depths=(1, 1, 0), blocks=2),
    TinyModel(channels=(16, 32), depths=(1, 1), middle_depth=1),
]


def weights(tensors: dict[str, torch.Tensor]) -> Weights:
    metadata = {"darkroom.config": json.dumps(TinyModel().config)}
    return Weights(path=Path("f"), tensors=tensors, metadata=metadata)


@pytest.mark.parametrize("model", SHAPES)
def test_unets(model: TinyModel) -> None:
    original = model.unet()
    network = build_unet(weights(original), torch.float16)
    assert network is not None
    renamed = with_original_names(weights(network.module.state_dict())).tensors
    assert renamed.keys() == original.keys()
    assert all(torch.equal(renamed[name], original[name]) for name in original)


def test_vaes() -> None:
    original = TinyModel().vae()
    network = build_vae(weights(original), torch.float16)
    assert network is not None
    renamed = with_original_names(weights(network.module.state_dict())).tensors
    assert renamed.keys() == original.keys()
    assert all(torch.equal(renamed[name], original[name]) for name in original)


def test_a_pipeline_in_folders_or_in_one_file(tmp_path: Path, policy: Policy) -> None:
    model = TinyModel()
    unet, vae = (
        build_unet(weights(model.unet()), torch.float16),
        build_vae(weights(model.vae()), torch.float16),
    )
    assert unet is not None and vae is not None
    text = {f"text_model.{name}": tensor for name, tensor in model.text().items()}
    parts = {
        "unet": ("diffusion_pytorch_model", unet.module.state_dict()),
        "vae": ("diffusion_pytorch_model", vae.module.state_dict()),
        "text_encoder": ("model", text),
    }
    configs = {
        "unet": {"norm_num_groups": model.groups},
        "vae": {"norm_num_groups": model.groups},
        "text_encoder": {"num_attention_heads": 2},
        "scheduler": {"prediction_type": "v_prediction"},
    }
    whole: dict[str, torch.Tensor] = {}
    for part, (name, tensors) in parts.items():
        (tmp_path / part).mkdir()
        contiguous = {k: v.clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}
        save_file(contiguous, tmp_path / part / f"{name}.safetensors")
        save_file(contiguous, tmp_path / part / f"{name}.fp16.safetensors")
        whole |= {f"{part}.{k}": v for k, v in contiguous.items()}
    (tmp_path / "scheduler").mkdir()
    for part, said in configs.items():
        kind = "scheduler_config" if part == "scheduler" else "config"
        (tmp_path / part / f"{kind}.json").write_text(json.dumps(said))
    loaded = load_diffusers_folder(tmp_path, policy)
    assert loaded.text is not None and loaded.vae is not None
    assert loaded.model.own_schedule.prediction == VELOCITY
    metadata = {"darkroom.config": json.dumps(model.config)}
    save_file(whole, tmp_path / "whole.safetensors", metadata=metadata)
    single = load_checkpoint(tmp_path / "whole.safetensors", policy)
    assert single.model.network.names() == loaded.model.network.names()
    assert single.text is not None and single.vae is not None
