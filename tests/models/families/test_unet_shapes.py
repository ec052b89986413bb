"""Which network a file holds, from the names and shapes of its tensors alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import UnsupportedLayout
from models.families import sd2
from models.families.ldm_unet import build_unet, unet_part
from models.load import recognise, unet_of
from models.memory import Policy
from models.sampling.prediction import EPSILON, VELOCITY
from models.weights import Weights
from tests.models.conftest import policy
from tests.models.tiny import TinyModel

__all__ = ["policy"]

MANIFESTS = Path(__file__).parents[2] / "reference/parity_models/manifests"


def published(name: str) -> Weights:
    """A published file: its names and shapes, and no memory."""
    document = json.loads((MANIFESTS / f"{name}.json").read_text(encoding="utf-8"))
    tensors = {
        key: torch.empty(_shape(entry), dtype=torch.float16, device="meta")
        for key, entry in document["tensors"].items()
    }
    return Weights(path=Path(name), tensors=tensors)


def _shape(entry: list[Any]) -> list[int]:
    return entry[0] if entry and isinstance(entry[0], list) else entry


def config_of(weights: Weights) -> Any:
    network = build_unet(weights, torch.float16)
    assert network is not None
    return network.module.config


def tiny(model: TinyModel) -> Weights:
    return Weights(
        path=Path("tiny"),
        tensors={f"model.diffusion_model.{name}": t for name, t in model.unet().items()},
        metadata={"darkroom.config": json.dumps({"unet": model.config["unet"]})},
    )


def test_all_of_sdxl_is_found_with_its_depths_and_heads() -> None:
    weights = published("sdxl")
    assert recognise(weights).name == "sdxl"
    config = config_of(weights)
    assert config.block_out_channels == (320, 640, 1280)
    assert config.transformer_layers_per_block[1:] == (2, 10)
    assert config.down_block_types[0] == "DownBlock2D"
    assert config.attention_head_dim == (5, 10, 20)
    assert config.cross_attention_dim == 2048
    assert config.projection_class_embeddings_input_dim == 2816


def test_a_network_has_every_parameter_of_the_file() -> None:
    network = build_unet(weights := published("sdxl"), torch.float16)
    assert network is not None
    unet = unet_part(weights).tensors
    assert {network.original(name) for name in network.names()} == set(unet)
    total = sum(math.prod(tensor.shape) for tensor in unet.values())
    assert total == sum(p.numel() for p in network.module.parameters())


def test_all_of_sd_2_is_found() -> None:
    weights = published("sd21_v")
    assert recognise(weights).name == "sd2"
    config = config_of(weights)
    assert config.attention_head_dim == (5, 10, 20, 20)
    assert config.use_linear_projection and config.class_embed_type is None


@pytest.mark.parametrize("deviation", [0.05, 0.2])
def test_sd_2_tells_v_by_the_bias_of_its_last_transformer(deviation: float) -> None:
    weights = published("sd21_v")
    key = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
    values = torch.randn(320, generator=torch.Generator().manual_seed(1)) * deviation
    weights.tensors[key] = values.half()
    expected = VELOCITY if deviation > 0.1 else EPSILON
    assert sd2.FAMILY.schedule(weights).prediction == expected


def test_an_inpainting_unet_without_prefix_is_found() -> None:
    weights = published("sd15_inpaint_unet")
    assert recognise(weights).name == "sd15"
    assert config_of(weights).in_channels == 9


# As published: channels and depths reduced, the structure kept.
LIKE_SDXL = TinyModel(channels=(8, 16, 32), depths=(0, 2, 3), middle_depth=3, blocks=2,
                      is_linear=True, context=24, label=16 + 6 * 256)  # fmt: skip
DISTILLED = {
    "ssd-1b": TinyModel(channels=(8, 16, 32), depths=(0, (2, 2), (4, 4)), middle_depth=0, blocks=2,
                        depths_up=(0, (2, 1, 1), (4, 4, 10)), is_linear=True, context=24,
                        label=16 + 6 * 256),
    "vega": TinyModel(channels=(8, 16, 32), depths=(0, 1, 2), middle_depth=0, blocks=2,
                      is_linear=True, context=24, label=16 + 6 * 256),
    "koala-700m": TinyModel(channels=(8, 16, 32), depths=(0, 2, 5), middle_depth=None, blocks=1,
                            is_linear=True, context=24, label=16 + 6 * 256),
    "koala-1b": TinyModel(channels=(8, 16, 32), depths=(0, 2, 6), middle_depth=6, blocks=1,
                          is_linear=True, context=24, label=16 + 6 * 256),
}  # fmt: skip
OTHERS = {
    "sd15": (TinyModel(), "sd15"),
    "sd15 without middle": (TinyModel(middle_depth=None), "sd15"),
    "sd2": (TinyModel(is_linear=True), "sd2"),
    "sd2 inpainting": (TinyModel(is_linear=True, in_channels=9), "sd2"),
    "sdxl": (LIKE_SDXL, "sdxl"),
    "refiner": (
        TinyModel(channels=(8, 16, 32, 32), depths=(0, 4, 4, 0), middle_depth=4, blocks=2,
                  is_linear=True, context=16, label=16 + 5 * 256),
        "sdxl_refiner",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "family"),
    [*((model, "sdxl") for model in DISTILLED.values()), *OTHERS.values()],
    ids=[*DISTILLED, *OTHERS],
)
def test_a_reduced_network_is_found_and_runs(model: TinyModel, family: str, policy: Policy) -> None:
    weights = tiny(model)
    handle = unet_of(weights, policy)
    assert handle.family.name == family
    assert len(handle.network.names()) == len(weights.tensors)
    x = torch.ones(1, model.in_channels, 8, 8)
    vector = {} if model.label is None else {"y": torch.ones(1, model.label)}
    output = handle.model.diffusion_model(
        x, torch.tensor([10]), torch.ones(1, 3, model.context), **vector
    )
    assert output.shape == (1, 4, 8, 8) and output.isfinite().all()


def test_attention_in_some_blocks_of_a_resolution_is_refused() -> None:
    with pytest.raises(UnsupportedLayout, match="some blocks of a resolution"):
        build_unet(tiny(TinyModel(depths=((1, 0), 0), blocks=2)), torch.float32)
