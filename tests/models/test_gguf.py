"""GGUF files: every type that is read, and what is said of files that cannot be."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.errors import CheckpointUnreadable, PackageMissing
from models.mapping import MappedFile
from models.stored import StoredTensor, values_of
from models.weights import open_weights
from tests.models.gguf_files import quantised, write_gguf

KINDS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_gguf_package(kind: str, tmp_path: Path) -> None:
    wanted = write_gguf(
        tmp_path / "m.gguf",
        {"a.weight": numbers(64, 512), "a.bias": numbers(64), "k": numbers(32, 16, 3, 3)},
        kind,
    )
    opened = open_weights(tmp_path / "m.gguf")
    assert set(opened.tensors) == set(wanted)
    assert opened.metadata["general.architecture"] == "sd1"
    for name, values in wanted.items():
        tensor = opened.tensors[name]
        assert tensor.shape == values.shape
        assert torch.equal(values_of(tensor, torch.float32), values)
        for dtype in (torch.float16, torch.bfloat16):
            assert torch.equal(values_of(tensor, dtype), values.to(dtype))
        assert isinstance(tensor, StoredTensor) is (values.ndim > 1)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_told_apart_without_decoding(kind: str, tmp_path: Path) -> None:
    values = write_gguf(tmp_path / "m.gguf", {"a": numbers(48, 256)}, kind)["a"]
    stored = open_weights(tmp_path / "m.gguf").tensors["a"]
    q, k, v = stored.chunk(3)
    swapped = torch.cat([v, q])
    for part in (q, k, v, swapped):
        assert isinstance(part, StoredTensor)
    assert torch.equal(swapped + 0, torch.cat([values[32:], values[:16]]))
    ids = torch.tensor([[3, 47], [0, 3]])
    assert torch.equal(F.embedding(ids, stored), values[ids])
    assert torch.equal(F.linear(numbers(2, 256), k), F.linear(numbers(2, 256), values[16:32]))


def test_rows_that_are_no_whole_blocks_are_decoded(tmp_path: Path) -> None:
    values = write_gguf(tmp_path / "m.gguf", {"a": numbers(16, 40)}, "Q8_0")["a"]
    stored = open_weights(tmp_path / "m.gguf").tensors["a"]
    assert torch.equal(stored[3:5] + 0, values[3:5])
    assert torch.equal(F.embedding(torch.tensor([5]), stored), values[5:6])


def test_large_tensors_are_decoded_in_pieces() -> None:
    from models.gguf_file import _block_format
    from models.stored.blocks import Blocks

    raw, values = quantised(numbers(2, 3 << 17), "Q8_0")
    form = _block_format("Q8_0")
    assert form is not None
    blocks = Blocks(torch.from_numpy(raw).flatten(), form, tuple(values.shape))
    assert torch.equal(blocks.decode(torch.float32), values)


@pytest.mark.parametrize("kind", ["F16", "BF16", "F32"])
def test_types_that_torch_has_stay_ordinary_and_mapped(kind: str, tmp_path: Path) -> None:
    values = write_gguf(tmp_path / "m.gguf", {"a": numbers(64, 32)}, kind)["a"]
    tensor = open_weights(tmp_path / "m.gguf").tensors["a"]
    assert not isinstance(tensor, StoredTensor)
    assert torch.equal(tensor.float(), values)


def test_tensors_stay_mapped_and_give_their_pages_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_gguf(tmp_path / "m.gguf", {"a": numbers(64, 256)}, "Q4_0")
    stored = open_weights(tmp_path / "m.gguf").tensors["a"]
    released: list[int] = []
    monkeypatch.setattr(MappedFile, "release", lambda _, __, size: released.append(size))
    assert stored.nbytes == 64 * 256 * 18 // 32
    stored.sum()
    assert released == [stored.nbytes]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(tmp_path / "m.gguf", {"a": numbers(64, 32)}, "Q8_0")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(PackageMissing, match=r"'gguf' is not installed. .*darkroom-server\[gguf\]"):
        open_weights(tmp_path / "m.gguf")


# Files that cannot be used


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def header(tensors: int = 0, fields: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields)


def info(name: str, *shape: int, kind: int = 0, offset: int = 0) -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + sizes + struct.pack("<IQ", kind, offset)


def aligned(content: bytes, data: int = 0) -> bytes:
    return content + bytes(-len(content) % 32) + bytes(data)


FIELD = text("a") + struct.pack("<I", 4) + struct.pack("<I", 7)
HUGE = 1 << 60
BAD = {
    "empty": (b"", "the file is empty"),
    "short": (b"GG", "it is not a GGUF file"),
    "other": (b"PK\3\4" + bytes(64), "it is not a GGUF file"),
    "old": (header(version=1), "it is of version 1 of GGUF"),
    "cut counts": (header()[:12], "it ends within its header, after 12 bytes"),
    "many tensors": (header(tensors=HUGE), "it ends within its header"),
    "many fields": (header(fields=HUGE) + FIELD, "it ends within its header"),
    "long name": (header(fields=1) + struct.pack("<Q", HUGE), "it ends within its header"),
    "long list": (
        header(fields=1) + text("a") + struct.pack("<IIQ", 9, 0, HUGE), "it ends within its header",
    ),
    "long list of texts": (
        header(fields=1) + text("a") + struct.pack("<IIQ", 9, 8, HUGE), "it ends within its header",
    ),
    "nested list": (
        header(fields=1) + text("a") + struct.pack("<IIQ", 9, 9, 1) + bytes(64),
        "a list has values of the type 9",
    ),
    "unknown value": (
        header(fields=1) + text("a") + struct.pack("<I", 99), "a value has the type 99",
    ),
    "no text": (header(fields=1) + struct.pack("<Q", 1) + b"\xff", "a text is no UTF-8"),
    "field twice": (header(fields=2) + FIELD * 2, "'a' occurs twice"),
    "alignment": (
        header(fields=1) + text("general.alignment") + struct.pack("<II", 4, 3),
        "tensors are aligned to 3",
    ),
    "dimensions": (header(tensors=1) + info("w", 1, 1, 1, 1, 1), "'w' has 5 dimensions"),
    "unknown type": (
        header(tensors=1) + info("w", 32, kind=199), "the number type 199, which is not known",
    ),
    "no blocks": (
        header(tensors=1) + info("w", 31, kind=8), "rows of 'w' are no whole blocks of Q8_0",
    ),
    "tensor twice": (header(tensors=2) + info("w", 8) * 2, "'w' occurs twice"),
    "truncated": (
        aligned(header(tensors=1) + info("w", 32, kind=8), 20),
        "it is truncated: 14 bytes are missing at the end of 'w'",
    ),
    "far away": (
        aligned(header(tensors=1) + info("w", 8, offset=HUGE), 32), "it is truncated: 11529",
    ),
    "huge": (aligned(header(tensors=1) + info("w", HUGE, HUGE), 32), "it is truncated"),
    "huge and empty": (
        aligned(header(tensors=1) + info("w", HUGE * 8, 0), 32),
        "a tensor without values has the shape",
    ),
    "tokenizer": (
        header(fields=4)
        + text("tokenizer.ggml.model") + struct.pack("<I", 8) + text("t5")
        + text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 1) + text("a")
        + text("tokenizer.ggml.scores") + struct.pack("<IIQf", 9, 6, 1, 0.0)
        + text("tokenizer.ggml.unknown_token_id") + struct.pack("<I", 8) + text("none"),
        "its tokenizer is malformed",
    ),
    "overlap": (
        aligned(header(tensors=2) + info("v", 8) + info("w", 8, offset=16), 64),
        "'w' overlaps another tensor",
    ),
    "misplaced": (aligned(header(tensors=1) + info("w", 8, offset=3), 64), "is misplaced"),
    "not read": (
        aligned(header(tensors=1) + info("w", 256, kind=16), 66),
        "'w' is quantised as IQ2_XXS, which is not read",
    ),
    "shape": (
        aligned(
            header(tensors=1, fields=1) + text("comfy.gguf.orig_shape.w")
            + struct.pack("<IIQII", 9, 5, 2, 3, 3) + info("w", 8), 32,
        ),
        r"'w' does not fit the shape \[3, 3\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_says_why(name: str, tmp_path: Path) -> None:
    content, reason = BAD[name]
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(CheckpointUnreadable, match=reason):
        open_weights(tmp_path / "bad.gguf")


def test_a_header_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:
        file.write(header(fields=1) + struct.pack("<Q", 1 << 30))
        file.truncate(1 << 31)  # a hole
    with pytest.raises(CheckpointUnreadable, match="longer than 100,000,000 bytes"):
        open_weights(path)
