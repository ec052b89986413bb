"""Quantised transformers whose weights diffusers cuts apart, with LoRA for wholes and parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models.devices import HOME
from models.handle import ModelHandle
from models.load import unet_of
from models.lora import apply_lora, load_lora
from models.memory import Policy
from models.stored import StoredTensor
from models.stored.changed import Changed
from models.weights import open_weights
from tests.models import tiny_flux, tiny_sd3
from tests.models.gguf_files import write_gguf
from tests.models.tiny import save

WIDTH = 256  # a block of a K-quant
FLUX = tiny_flux.TinyFlux(width=WIDTH, double=1, single=1)
QKV = "double_blocks.0.img_attn.qkv"


def float8(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """A file in float8 with scales; returns its values."""
    stored, values = {}, {}
    for name, tensor in tensors.items():
        stored[name] = values[name] = tensor
        if tensor.ndim == 2:
            scale = tensor.abs().max().float() / 448
            stored[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
            stored[f"{name.removesuffix('.weight')}.scale_weight"] = scale
            values[name] = stored[name].float() * scale
    save(path, stored)
    return values


def flux(kind: str, folder: Path, policy: Policy) -> tuple[ModelHandle, ModelHandle]:
    """A quantised model, and one of the same values."""
    path = folder / ("q.gguf" if kind.startswith("Q") else "q.safetensors")
    tensors = FLUX.tensors()
    if kind.startswith("Q"):
        values = write_gguf(path, tensors, kind, "flux")
    else:
        values = float8(tensors, path)
    wide = save(folder / "wide.safetensors", values)
    return unet_of(open_weights(path), policy), unet_of(open_weights(wide), policy)


def said(model: ModelHandle) -> Tensor:
    network = model.model.diffusion_model
    output: Tensor = network.run(**tiny_flux.inputs(FLUX), patches=model.patches)
    return output


def same(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def with_lora(model: ModelHandle, folder: Path, *layers: tuple[str, int]) -> ModelHandle:
    """With a LoRA for layers of so many rows."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for layer, rows in layers:
        tensors[f"{layer}.lora_B.weight"] = torch.randn(rows, 2, generator=generator)
        tensors[f"{layer}.lora_A.weight"] = torch.randn(2, WIDTH, generator=generator)
    path = folder / f"{len(layers)}-{layers[0][1]}.safetensors"
    if not path.exists():
        save_file(tensors, path)
    return apply_lora(load_lora(path), model, None, strength_model=2.0, strength_text=0.0)[0]


@pytest.mark.parametrize("kind", ["float8", "Q4_0", "Q8_0", "Q5_K"])
def test_a_model_computes_as_that_of_its_values(kind: str, tmp_path: Path, policy: Policy) -> None:
    model, wide = flux(kind, tmp_path, policy)
    same(said(model), said(wide))
    network = model.network
    query = network.module.get_parameter("transformer_blocks.0.attn.to_q.weight")
    key = network.module.get_parameter("transformer_blocks.0.attn.to_k.weight")
    assert isinstance(query, StoredTensor) and isinstance(key, StoredTensor)
    start = query.encoded.raw.data_ptr()
    assert key.encoded.raw.data_ptr() == start + query.nbytes
    assert network.size() < 0.45 * wide.network.size()


@pytest.mark.parametrize("kind", ["float8", "Q4_0"])
def test_lora_for_whole_weights_and_for_parts_changes_rows_alone(
    kind: str, tmp_path: Path, policy: Policy
) -> None:
    model, wide = flux(kind, tmp_path, policy)
    before = said(model)
    block = "transformer.transformer_blocks.0.attn"
    for layers in (
        [(f"diffusion_model.{QKV}", 3 * WIDTH)],
        [(f"{block}.to_q", WIDTH)],
        [(f"{block}.to_q", WIDTH), (f"{block}.to_v", WIDTH)],
    ):
        changed, wanted = (with_lora(m, tmp_path, *layers) for m in (model, wide))
        result = said(changed)
        same(result, said(wanted))
        assert not torch.allclose(result, before, rtol=0, atol=1e-3)
        for layer, _ in layers:
            if layer.startswith(block):
                parameter = model.network.module.get_parameter(
                    layer.removeprefix("transformer.") + ".weight"
                )
                assert isinstance(parameter, StoredTensor)
                assert isinstance(parameter.encoded, Changed)
                assert parameter.encoded.whole.shape == (WIDTH, WIDTH)
    model.network.patch({})
    assert torch.equal(said(model), before)


def test_parts_that_a_lora_is_not_for_stay_as_they_are(tmp_path: Path, policy: Policy) -> None:
    model, _ = flux("Q4_0", tmp_path, policy)
    said(with_lora(model, tmp_path, ("transformer.transformer_blocks.0.attn.to_q", WIDTH)))
    key = model.network.module.get_parameter("transformer_blocks.0.attn.to_k.weight")
    assert isinstance(key, StoredTensor) and not isinstance(key.encoded, Changed)


def test_stable_diffusion_3_computes_as_that_of_its_values(tmp_path: Path, policy: Policy) -> None:
    config = tiny_sd3.MEDIUM_35 | {"attention_head_dim": 64, "caption_projection_dim": 128}
    tensors = tiny_sd3.original_tensors(tiny_sd3.transformer(config))
    values = write_gguf(tmp_path / "q.gguf", tensors, "Q8_0", "sd3", tiny_sd3.STATED)
    save(tmp_path / "wide.safetensors", values, tiny_sd3.STATED)
    found, wanted = (
        unet_of(open_weights(tmp_path / name), policy) for name in ("q.gguf", "wide.safetensors")
    )
    given = tiny_sd3.inputs()

    def outcome(model: ModelHandle) -> Tensor:
        output: Tensor = model.model.diffusion_model.run(
            given["x"], given["timesteps"], given["context"], y=given["y"], patches={}
        )
        return output

    same(outcome(found), outcome(wanted))
    found.network.place(HOME)
    parameters = list(found.network.module.parameters())
    stored = sum(p.numel() for p in parameters if isinstance(p, StoredTensor))
    assert stored > 0.9 * sum(p.numel() for p in parameters)
