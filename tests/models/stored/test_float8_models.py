"""Models in float8: small in memory, and computed like the model of the same values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.devices import HOME
from models.handle import ModelHandle
from models.load import load_checkpoint, unet_of
from models.lora import Lora, apply_lora
from models.lora.files import group_tensors
from models.memory import Policy
from models.model_files import unet_tensors
from models.safetensors_writer import write_tensors
from models.stored import StoredTensor
from models.weights import open_weights
from tests.models.tiny import TinyModel, save

MODEL = TinyModel(channels=(64, 64), depths=(1, 0), context=64)
LAYER = "input_blocks.1.1.transformer_blocks.0.ff.net.2"


def float8_unet(kind: torch.dtype) -> dict[str, Tensor]:
    return {name: tensor.to(kind) for name, tensor in MODEL.unet().items()}


def scaled_unet() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A file with scales, and its values."""
    stored, values = {}, {}
    for name, tensor in MODEL.unet().items():
        stored[name] = values[name] = tensor
        if tensor.ndim > 1:
            scale = tensor.abs().max().float() / 448
            stored[name] = (tensor.float() / scale).to(torch.float8_e4m3fn)
            stored[f"{name.removesuffix('.weight')}.scale_weight"] = scale
            values[name] = stored[name].float() * scale
    stored["scaled_fp8"] = torch.empty(2).to(torch.float8_e4m3fn)
    return stored, values


def loaded(folder: Path, policy: Policy, tensors: Mapping[str, Tensor]) -> ModelHandle:
    return unet_of(
        open_weights(save(folder / "m.safetensors", dict(tensors), MODEL.config)), policy
    )


def result(model: ModelHandle) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 4, 8, 8, generator=generator)
    context = torch.randn(1, 7, MODEL.context, generator=generator)
    return model.denoised(x, torch.tensor([2.0]), context)


def same(found: Tensor, wanted: Tensor) -> None:
    """To rounding: kernels lie in memory otherwise, so that sums are made in another order."""
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def lora(seed: int = 5) -> Lora:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        f"diffusion_model.{LAYER}.lora_up.weight": torch.randn(64, 4, generator=generator) * 0.1,
        f"diffusion_model.{LAYER}.lora_down.weight": torch.randn(4, 256, generator=generator) * 0.1,
    }
    return Lora(path=Path("l"), groups=group_tensors(tensors))


def with_lora(model: ModelHandle, strength: float) -> ModelHandle:
    patched, _ = apply_lora(lora(), model, None, strength_model=strength, strength_text=0.0)
    return patched


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_a_file_in_float8_computes_as_that_of_its_values(
    kind: torch.dtype, tmp_path: Path, policy: Policy
) -> None:
    tensors = float8_unet(kind)
    model = loaded(tmp_path, policy, tensors)
    (tmp_path / "wide").mkdir()
    wide = loaded(tmp_path / "wide", policy, {n: t.float() for n, t in tensors.items()})
    same(result(model), result(wide))
    assert model.dtype == torch.float32


def test_a_file_with_scales_computes_as_that_of_its_values(tmp_path: Path, policy: Policy) -> None:
    stored, values = scaled_unet()
    model = loaded(tmp_path, policy, stored)
    (tmp_path / "wide").mkdir()
    same(result(model), result(loaded(tmp_path / "wide", policy, values)))


def test_a_network_takes_up_what_its_file_does_and_stays_mapped(
    tmp_path: Path, policy: Policy
) -> None:
    tensors = float8_unet(torch.float8_e4m3fn)
    network = loaded(tmp_path, policy, tensors).network
    in_file = sum(tensor.nbytes for tensor in tensors.values())
    assert in_file <= network.size() < 1.2 * in_file
    network.place(HOME)
    large = [p for p in network.module.parameters() if isinstance(p, StoredTensor)]
    assert sum(parameter.nbytes for parameter in large) > 0.9 * in_file
    sources = {network.stored(name).data_ptr() for name in network.names()}
    assert {parameter.encoded.raw.data_ptr() for parameter in large} <= sources
    assert sum(p.nbytes for p in network.module.parameters()) == network.size()


def test_a_loader_can_narrow_a_file(tmp_path: Path, policy: Policy) -> None:
    path = save(tmp_path / "m.safetensors", MODEL.unet(), MODEL.config)
    kind = torch.float8_e5m2
    model = unet_of(open_weights(path), policy, kind)
    wide = loaded(tmp_path, policy, {n: t.to(kind).float() for n, t in MODEL.unet().items()})
    same(result(model), result(wide))
    assert model.network.size() < 0.35 * wide.network.size()
    assert sum(p.nbytes for p in model.network.module.parameters()) == model.network.size()
    model.network.rest()
    assert result(model).isfinite().all()


def test_lora_is_added_to_the_values_and_undone(tmp_path: Path, policy: Policy) -> None:
    stored, values = scaled_unet()
    model = loaded(tmp_path, policy, stored)
    (tmp_path / "wide").mkdir()
    wide = loaded(tmp_path / "wide", policy, values)
    before = result(model)
    assert not torch.allclose(result(with_lora(model, 0.5)), before, atol=1e-2)
    parameters = dict(model.network.module.named_parameters())
    for strength in (0.5, 1.5):
        same(result(with_lora(model, strength)), result(with_lora(wide, strength)))
    changed = {
        name for name, p in model.network.module.named_parameters() if p is not parameters[name]
    }
    assert {model.network.original(name) for name in changed} == {f"{LAYER}.weight"}
    assert torch.equal(result(model), before)


def test_patches_cost_no_memory(tmp_path: Path, policy: Policy) -> None:
    model = loaded(tmp_path, policy, float8_unet(torch.float8_e4m3fn))
    size = model.network.size()
    result(with_lora(model, 1.0))
    assert model.network.size() == size


def test_the_type_of_computation_changes_without_decoding(tmp_path: Path, policy: Policy) -> None:
    network = loaded(tmp_path, policy, float8_unet(torch.float8_e4m3fn)).network
    size = network.size()
    network.compute_in(torch.bfloat16)
    network.place(HOME)
    assert {p.dtype for p in network.module.parameters()} == {torch.bfloat16}
    assert network.size() < size


def test_saved_weights_are_those_of_the_file_and_precise_where_they_changed(
    tmp_path: Path, policy: Policy
) -> None:
    tensors = float8_unet(torch.float8_e4m3fn)
    model = with_lora(loaded(tmp_path, policy, tensors), 1.0)
    saved = unet_tensors(model)
    layer = f"{LAYER}.weight"
    assert saved[layer].dtype == torch.float16
    patch = model.patches[next(n for n in model.patches if "ff.net.2" in n)][0]
    assert torch.equal(saved.pop(layer), patch.apply(tensors[layer].float()).half())
    assert all(torch.equal(t.float(), tensors[n].float()) for n, t in saved.items())
    assert {tensor.dtype for tensor in saved.values()} == {torch.float8_e4m3fn}


def test_saved_weights_with_scales_are_in_half_precision(tmp_path: Path, policy: Policy) -> None:
    stored, values = scaled_unet()
    model = loaded(tmp_path, policy, stored)
    saved = unet_tensors(model)
    assert all(torch.equal(t, values[n].half()) for n, t in saved.items())
    path = tmp_path / "saved.safetensors"
    write_tensors(path, saved, {"darkroom.config": json.dumps(MODEL.config)})
    again = unet_of(open_weights(path), policy)
    torch.testing.assert_close(result(again), result(model), rtol=1e-2, atol=1e-2)


def test_mixes_of_types_load(tmp_path: Path, policy: Policy) -> None:
    kinds = [torch.float16, torch.bfloat16, torch.float32, torch.float8_e4m3fn]
    tensors = {n: t.to(kinds[i % 4]) for i, (n, t) in enumerate(MODEL.unet().items())}
    model = loaded(tmp_path, policy, tensors)
    (tmp_path / "wide").mkdir()
    wide = loaded(tmp_path / "wide", policy, {n: t.float() for n, t in tensors.items()})
    same(result(model), result(wide))


def test_a_whole_checkpoint_in_float8_makes_the_same_conditioning(
    tmp_path: Path, policy: Policy
) -> None:
    narrow = {name: t.to(torch.float8_e4m3fn) for name, t in MODEL.tensors().items()}
    wide = {name: t.float() for name, t in narrow.items()}
    found, wanted = (
        load_checkpoint(save(tmp_path / f"{n}.safetensors", t, MODEL.config), policy)
        for n, t in (("n", narrow), ("w", wide))
    )
    assert found.text is not None and wanted.text is not None
    assert found.vae is not None and wanted.vae is not None
    chunks = found.text.chunks("a red cat")
    for a, b in zip(
        found.text.encode_chunks(chunks), wanted.text.encode_chunks(chunks), strict=True
    ):
        same(a, b)
    latent = torch.rand(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    same(found.vae.decode(latent), wanted.vae.decode(latent))
    narrow_size, wide_size = (t.encoders["l"].network.size() for t in (found.text, wanted.text))
    assert narrow_size < 0.3 * wide_size
