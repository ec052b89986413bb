from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.text.chunks import CLIP_L
from models.text.embeddings import find_embedding, load_embedding
from models.text.tokenizer import PromptTokenizer


def test_names_are_found_with_or_without_extension_also_in_subfolders(tmp_path: Path) -> None:
    (tmp_path / "b/sub").mkdir(parents=True)
    (tmp_path / "a").mkdir()
    wanted = tmp_path / "b/sub/style.pt"
    torch.save({"x": torch.zeros(1, 4)}, wanted)
    folders = [tmp_path / "missing", tmp_path / "a", tmp_path / "b"]
    for name in ("style", "style.pt", "sub/style"):
        assert find_embedding(name, folders) == wanted
    assert find_embedding("other", folders) is None


def test_a_link_loop_ends(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    assert find_embedding("nothing", [tmp_path]) is None


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"clip_g": torch.zeros(1, 4), "clip_l": torch.ones(2, 4)}, 1.0),
        ({"string_to_param": {"*": torch.full((1, 4), 2.0)}, "clip_l": torch.ones(1, 4)}, 2.0),
        ({"name": "style", "emb_params": torch.full((4,), 3.0)}, 3.0),
    ],
)
def test_the_entry_for_the_encoder_is_chosen(
    document: dict[str, object], expected: float, tmp_path: Path
) -> None:
    torch.save(document, tmp_path / "e.pt")
    rows = load_embedding("e", [tmp_path], "clip_l")
    assert rows is not None
    assert rows.ndim == 2 and set(rows.flatten().tolist()) == {expected}


def test_a_file_without_tensors_counts_as_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({"a": 1}, tmp_path / "e.pt")
    assert load_embedding("e", [tmp_path], "clip_l") is None
    assert "no tensor" in caplog.text


def test_rows_stand_for_tokens(tmp_path: Path) -> None:
    save_file({"emb_params": torch.arange(8.0).reshape(2, 4)}, tmp_path / "e.safetensors")
    tokenizer = PromptTokenizer(
        encoder="clip_l", chunk_format=CLIP_L, embedding_folders=(tmp_path,)
    )
    (chunk,) = tokenizer.tokenize("(embedding:e:1.5)")
    assert isinstance(chunk[1].value, torch.Tensor)
    assert chunk[2].value.tolist() == [4.0, 5.0, 6.0, 7.0]  # type: ignore[union-attr]
    assert [token.weight for token in chunk[:4]] == [1.0, 1.5, 1.5, 1.0]
