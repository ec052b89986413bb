"""Model files made to harm: each is refused with its name, and nothing in it runs."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from models.errors import CheckpointUnreadable, ModelFileError, UnsafeCheckpoint
from models.text.embeddings import find_embedding, load_embedding
from models.weights import open_weights, read_document

GOOD = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def safetensors(header: Any, data: bytes, length: int | None = None) -> bytes:
    """The bytes of a file; `length` is what it says of its header's length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype: str, shape: Any, begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


ATTACKS = {
    "zero bytes": b"",
    "five bytes": b"\x01\x02\x03\x04\x05",
    "header longer than the file": safetensors(GOOD, bytes(8), length=4096),
    "header of exabytes": safetensors(GOOD, bytes(8), length=2**63),
    "header beyond the limit": safetensors(GOOD, bytes(8), length=100_000_001),
    "header that is no JSON": safetensors(b"not json", bytes(8)),
    "header that is no UTF-8": safetensors(b'{"\xff\xfe": 1}', bytes(8)),
    "header that is a list": safetensors([1, 2], bytes(8)),
    "header nested a hundred thousand deep": safetensors(b"[" * 100_000, bytes(8)),
    "entry that is a number": safetensors({"a": 3}, bytes(8)),
    "unknown type": safetensors({"a": entry("F99", [2], 0, 8)}, bytes(8)),
    "type that is a list": safetensors({"a": entry([], [2], 0, 8)}, bytes(8)),  # type: ignore[arg-type]
    "offsets beyond the end": safetensors({"a": entry("F32", [4], 0, 16)}, bytes(8)),
    "truncated data": safetensors(GOOD, bytes(7)),
    "data after the last tensor": safetensors(GOOD, bytes(64)),
    "begin after end": safetensors({"a": entry("F32", [2], 8, 0)}, bytes(8)),
    "negative offsets": safetensors({"a": entry("F32", [2], -8, 0)}, bytes(8)),
    "offsets that are texts": safetensors({"a": entry("F32", [2], "0", "8")}, bytes(8)),
    "three offsets": safetensors({"a": {**GOOD["a"], "data_offsets": [0, 4, 8]}}, bytes(8)),
    "negative shape": safetensors({"a": entry("F32", [-1, -2], 0, 8)}, bytes(8)),
    "shape that is a text": safetensors({"a": entry("F32", "22", 0, 8)}, bytes(8)),
    "shape that does not fit": safetensors({"a": entry("F32", [3], 0, 8)}, bytes(8)),
    "shape that overflows": safetensors({"a": entry("F32", [2**62, 2**62], 0, 8)}, bytes(8)),
    "empty shape that overflows": safetensors({"a": entry("F32", [0, 2**70], 0, 0)}, b""),
    "empty shape whose strides overflow": safetensors(
        {"a": entry("F32", [0, 2**62, 2**62], 0, 0)}, b""
    ),
    "overlapping tensors": safetensors(
        {"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)
    ),
    "the same bytes twice": safetensors(
        {"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 0, 8)}, bytes(8)
    ),
    "a gap between tensors": safetensors(
        {"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, bytes(12)
    ),
    "the same name twice": safetensors(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        bytes(8),
    ),
    "metadata that is a list": safetensors({"__metadata__": [1], **GOOD}, bytes(8)),
    "metadata of numbers": safetensors({"__metadata__": {"a": 1}, **GOOD}, bytes(8)),
    "a pickle under another name": pickle.dumps({"a": 1}),
}


@pytest.mark.parametrize("content", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_malformed_safetensors_file_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointUnreadable, match=r"bad\.safetensors"):
        open_weights(path)


def test_the_pattern_of_these_attacks_without_an_attack_is_read(tmp_path: Path) -> None:
    path = tmp_path / "good.safetensors"
    path.write_bytes(safetensors(GOOD, bytes(8)))
    assert open_weights(path).tensors["a"].tolist() == [0.0, 0.0]


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".bin", ".pth"])
def test_code_in_a_pickle_is_refused_and_not_run(suffix: str, tmp_path: Path) -> None:
    proof, path = tmp_path / "ran", tmp_path / f"evil{suffix}"
    torch.save({"state_dict": {"a": torch.zeros(2)}, "x": Touch(proof)}, path)
    with pytest.raises(UnsafeCheckpoint, match=r"evil.*safetensors"):
        open_weights(path)
    with pytest.raises(UnsafeCheckpoint):
        read_document(path)
    assert not proof.exists()


def test_code_in_a_bare_pickle_is_not_run(tmp_path: Path) -> None:
    proof, path = tmp_path / "ran", tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(Touch(proof)))
    with pytest.raises(ModelFileError):
        open_weights(path)
    assert not proof.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"plain text", bytes(100)])
def test_a_damaged_pickle_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.ckpt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"bad\.ckpt"):
        open_weights(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("none.safetensors", "folder.safetensors"):
        with pytest.raises(CheckpointUnreadable, match="no such file"):
            open_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/secret", "..", "", "a\0b"])
def test_an_embedding_name_cannot_leave_its_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    (folder / "a").mkdir(parents=True)
    torch.save({"x": torch.zeros(1, 4)}, tmp_path / "secret.pt")
    outside = str(tmp_path / "secret") if name == "/secret" else name
    assert find_embedding(outside, [folder]) is None


def test_a_harmful_embedding_is_left_out(tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    torch.save({"x": Touch(proof)}, tmp_path / "evil.pt")
    assert load_embedding("evil", [tmp_path], "clip_l") is None
    assert not proof.exists()
