"""GGUF files through nodes: what they list, load, patch, save, and say of files they cannot use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from executor.file_options import FileOptionLists
from executor.folders import Folders
from models.errors import InvalidInput, UnknownModelFamily
from models.handle import ModelHandle
from models.memory import Policy
from models.stored import StoredTensor
from nodes.context import installed_files, use_files
from nodes.gguf_loaders import CLIPLoaderGGUF, DualCLIPLoaderGGUF, UnetLoaderGGUF
from nodes.loaders import LoraLoaderModelOnly
from nodes.model_merging import ModelMergeSimple
from nodes.model_saving import ModelSave
from nodes.part_loaders import UNETLoader
from nodes.text_loaders import CLIPLoader, DualCLIPLoader
from tests.models.conftest import policy
from tests.models.gguf_files import write_gguf
from tests.models.text.encoders import T5_TOKENIZER, t5
from tests.models.tiny import TinyModel, save
from tests.nodes.context import node_context

__all__ = ["policy"]

MODEL = TinyModel(channels=(64, 128), depths=(1, 0), context=64)
LAYER = "input_blocks.1.1.transformer_blocks.0.ff.net.2"


@pytest.fixture
def folders(tmp_path: Path, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path, policy=policy) as made:
        yield made


def quantise(folders: Folders, kind: str, prefix: str = "") -> tuple[ModelHandle, ModelHandle]:
    """A model in a GGUF file, and one in a file of the same values."""
    root = folders.models_root / "diffusion_models"
    tensors = {prefix + name: tensor for name, tensor in MODEL.unet().items()}
    values = write_gguf(root / "q.gguf", tensors, kind, config=MODEL.config)
    save(root / "wide.safetensors", values, MODEL.config)
    return UnetLoaderGGUF().run("q.gguf")[0], UNETLoader().run("wide.safetensors", "default")[0]


def result(model: ModelHandle) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 4, 8, 8, generator=generator)
    context = torch.randn(1, 7, MODEL.context, generator=generator)
    return model.denoised(x, torch.tensor([2.0]), context)


def same(found: Tensor, wanted: Tensor) -> None:
    """To rounding: kernels lie in memory otherwise, so that sums are made in another order."""
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def with_lora(folders: Folders, model: ModelHandle, strength: float) -> ModelHandle:
    generator = torch.Generator().manual_seed(5)
    lora = {
        f"diffusion_model.{LAYER}.lora_up.weight": torch.randn(64, 4, generator=generator) * 0.1,
        f"diffusion_model.{LAYER}.lora_down.weight": torch.randn(4, 256, generator=generator) * 0.1,
    }
    path = folders.models_root / "loras" / "l.safetensors"
    if not path.exists():
        save_file(lora, path)
    return LoraLoaderModelOnly().run(model, "l.safetensors", strength)[0]


@pytest.mark.parametrize("kind", ["Q4_0", "Q5_1", "Q8_0", "Q2_K", "Q4_K", "Q6_K", "BF16"])
def test_a_model_computes_as_that_of_its_values(kind: str, folders: Folders) -> None:
    model, wide = quantise(folders, kind)
    same(result(model), result(wide))
    assert model.dtype == torch.float32


def test_names_may_have_the_prefix_of_checkpoints(folders: Folders) -> None:
    model, wide = quantise(folders, "Q8_0", "model.diffusion_model.")
    same(result(model), result(wide))


def test_a_model_takes_up_what_its_file_does(folders: Folders) -> None:
    network = quantise(folders, "Q4_0")[0].network
    in_file = (folders.models_root / "diffusion_models" / "q.gguf").stat().st_size
    assert network.size() < 1.05 * in_file
    network.place(torch.device("cpu"))
    parameters = list(network.module.parameters())
    assert sum(p.nbytes for p in parameters) == network.size()
    stored = sum(p.numel() for p in parameters if isinstance(p, StoredTensor))
    assert stored > 0.98 * sum(p.numel() for p in parameters)


def test_lora_is_added_to_the_values_and_undone(folders: Folders) -> None:
    model, wide = quantise(folders, "Q4_0")
    before, size = result(model), model.network.size()
    for strength in (0.5, 1.5):
        patched, expected = (with_lora(folders, m, strength) for m in (model, wide))
        same(result(patched), result(expected))
        assert not torch.allclose(result(patched), before, atol=1e-2)
    assert model.network.size() == size
    assert torch.equal(result(model), before)


def test_models_are_mixed_by_their_values(folders: Folders) -> None:
    model, wide = quantise(folders, "Q4_0")
    other = {name: t.float() * 0.5 + 0.01 for name, t in MODEL.unet().items()}
    save(folders.models_root / "diffusion_models" / "other.safetensors", other, MODEL.config)
    (second,) = UNETLoader().run("other.safetensors", "default")
    for first, last, a, b in ((model, second, wide, second), (second, model, second, wide)):
        (found,) = ModelMergeSimple().run(first, last, 0.25)
        (wanted,) = ModelMergeSimple().run(a, b, 0.25)
        same(result(found), result(wanted))


def test_a_saved_model_is_a_file_in_half_precision(folders: Folders) -> None:
    model, wide = quantise(folders, "Q8_0")
    ModelSave().run(with_lora(folders, model, 1.0), "diffusion_models/s")
    [path] = (folders.output / "diffusion_models").glob("s*.safetensors")
    with safe_open(path, "pt") as file:
        names, dtype = (
            set(file.keys()),
            file.get_tensor(f"model.diffusion_model.{LAYER}.weight").dtype,
        )
    assert names == {f"model.diffusion_model.{name}" for name in MODEL.unet()}
    assert dtype == torch.float16
    (again,) = UNETLoader().run(path.name, "default")
    wanted = result(with_lora(folders, wide, 1.0))
    torch.testing.assert_close(result(again), wanted, rtol=1e-2, atol=1e-2)


def test_a_text_encoder_encodes_as_that_of_its_values(folders: Folders) -> None:
    root = folders.models_root / "text_encoders"
    tensors = {f"text_model.{name}": tensor for name, tensor in MODEL.text().items()}
    values = write_gguf(root / "q.gguf", tensors, "Q8_0", "clip", MODEL.config)
    save(root / "wide.safetensors", values, MODEL.config)
    (found,) = CLIPLoaderGGUF().run("q.gguf", "stable_diffusion")
    (wanted,) = CLIPLoader().run("wide.safetensors", "stable_diffusion")
    chunks = found.chunks("a (red:1.2) cat")
    for a, b in zip(found.encode_chunks(chunks), wanted.encode_chunks(chunks), strict=True):
        same(a, b)


def test_t5_and_clip_encode_for_flux_as_those_of_their_values(folders: Folders) -> None:
    root = folders.models_root
    place = root / "tokenizers" / "t5xxl"
    place.mkdir(parents=True)
    (place / "tokenizer.json").symlink_to(T5_TOKENIZER)
    save(root / "text_encoders" / "l.safetensors", MODEL.text(), MODEL.config)
    encoder = dict(t5().state_dict())
    encoder.pop("encoder.embed_tokens.weight", None)  # shares its memory with another
    values = write_gguf(root / "text_encoders" / "t5.gguf", encoder, "Q4_0", "t5encoder")
    save(root / "text_encoders" / "wide.safetensors", values)
    (found,) = DualCLIPLoaderGGUF().run("t5.gguf", "l.safetensors", "flux")
    (wanted,) = DualCLIPLoader().run("wide.safetensors", "l.safetensors", "flux")
    network = found.encoders["t5xxl"].network
    assert network.size() < 0.2 * wanted.encoders["t5xxl"].network.size()
    chunks = found.chunks("a red cat")
    for a, b in zip(found.encode_chunks(chunks), wanted.encode_chunks(chunks), strict=True):
        same(a, b)


def test_the_lists_hold_gguf_files(folders: Folders) -> None:
    before = installed_files()
    use_files(FileOptionLists(folders))
    for kind, name in (
        ("diffusion_models", "a.gguf"), ("unet", "b.GGUF"), ("diffusion_models", "c.safetensors"),
        ("text_encoders", "t.gguf"), ("clip", "u.safetensors"),
    ):  # fmt: skip
        path = folders.models_root / kind / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert UnetLoaderGGUF.INPUT_TYPES()["required"]["unet_name"][0] == ["a.gguf", "b.GGUF"]
    clips = CLIPLoaderGGUF.INPUT_TYPES()["required"]
    assert clips["clip_name"][0] == ["t.gguf", "u.safetensors"]
    assert "stable_diffusion" in clips["type"][0]
    assert UNETLoader.INPUT_TYPES()["required"]["unet_name"][0] == ["c.safetensors"]
    assert "unet_gguf" not in folders.models
    use_files(before)


def test_a_file_of_another_part_says_what_it_is(folders: Folders) -> None:
    for kind in ("diffusion_models", "text_encoders"):
        path = folders.models_root / kind / "m.gguf"
        tensors = {"enc.blk.0.attn_q.weight": torch.zeros(32, 32)}
        write_gguf(path, tensors, "Q8_0", "t5encoder")
    with pytest.raises(UnknownModelFamily, match="of the architecture 't5encoder'"):
        UnetLoaderGGUF().run("m.gguf")
    with pytest.raises(InvalidInput, match="no such text encoders: t5xxl"):
        CLIPLoaderGGUF().run("m.gguf", "stable_diffusion")
