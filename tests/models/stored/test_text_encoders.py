"""Text encoders in fewer bits: T5 in float8 with scales, and LoRA on such encoders."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.load import load_text
from models.memory import Policy
from models.stored import StoredTensor
from models.text.combinations import TextFolders
from models.text.handle import TextHandle
from tests.models.stored.test_tensor import Add
from tests.models.text.encoders import t5, with_t5_tokenizer
from tests.models.tiny import TinyModel, save

CLIP = TinyModel(context=64)


@pytest.fixture(scope="module")
def encoder() -> dict[str, Tensor]:
    """The weights of a T5 encoder."""
    return {n: t.clone() for n, t in t5().state_dict().items() if "embed_tokens" not in n}


def loaded(
    folder: Path, policy: Policy, folders: TextFolders, name: str, tensors: dict[str, Tensor]
) -> TextHandle:
    """Flux's text encoders, with a T5 of these weights."""
    paths = [folder / "l.safetensors", folder / f"{name}.safetensors"]
    save(paths[0], CLIP.text(), CLIP.config)
    return load_text("flux", [paths[0], save(paths[1], tensors)], policy, folders)


def encoded(text: TextHandle) -> tuple[Tensor, Tensor]:
    return text.encode_chunks(text.chunks("a (red:1.3) cat"))


@pytest.mark.parametrize("has_scales", [False, True], ids=["plain", "with scales"])
def test_t5_in_float8_encodes_as_that_of_its_values(
    has_scales: bool, encoder: dict[str, Tensor], tmp_path: Path, policy: Policy
) -> None:
    stored, values = {}, {}
    for name, tensor in encoder.items():
        scale = tensor.abs().max() / 448 if has_scales and tensor.ndim > 1 else torch.tensor(1.0)
        stored[name] = (tensor / scale).to(torch.float8_e4m3fn)
        values[name] = stored[name].float() * scale
        if has_scales and tensor.ndim > 1:
            stored[f"{name.removesuffix('.weight')}.scale_weight"] = scale
    if has_scales:
        stored["scaled_fp8"] = torch.empty(0).to(torch.float8_e4m3fn)
    folders = with_t5_tokenizer(tmp_path)
    narrow = loaded(tmp_path, policy, folders, "narrow", stored)
    wide = loaded(tmp_path, policy, folders, "wide", values)
    for found, wanted in zip(encoded(narrow), encoded(wide), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    sizes = [text.encoders["t5xxl"].network.size() for text in (narrow, wide)]
    assert sizes[0] < 0.26 * sizes[1]


def test_patches_are_made_on_the_values_and_undone(
    encoder: dict[str, Tensor], tmp_path: Path, policy: Policy
) -> None:
    narrow = {name: tensor.to(torch.float8_e5m2) for name, tensor in encoder.items()}
    wide = {name: tensor.float() for name, tensor in narrow.items()}
    folders = with_t5_tokenizer(tmp_path)
    texts = [
        loaded(tmp_path, policy, folders, name, tensors)
        for name, tensors in (("narrow", narrow), ("wide", wide))
    ]
    before = encoded(texts[0])[0]
    name = "encoder.block.1.layer.1.DenseReluDense.wo.weight"
    patched = [text.with_patches({"t5xxl": {name: [Add(0.01)]}}) for text in texts]
    found, wanted = (encoded(text)[0] for text in patched)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, before, atol=1e-2)
    assert torch.equal(encoded(texts[0])[0], before)


def test_halves_stay_as_they_are_on_the_cpu(
    encoder: dict[str, Tensor], tmp_path: Path, policy: Policy
) -> None:
    halves = {name: tensor.bfloat16() for name, tensor in encoder.items()}
    text = loaded(tmp_path, policy, with_t5_tokenizer(tmp_path), "halves", halves)
    encoded(text)
    network = text.encoders["t5xxl"].network
    assert network.size() < 1.01 * sum(tensor.nbytes for tensor in halves.values())
    table = network.module.shared.weight
    assert isinstance(table, StoredTensor) and table.dtype == torch.float32
