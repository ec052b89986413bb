"""Datasets: read from and written to folders, changed, sorted out, encoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from executor.file_options import INPUT_FOLDERS, FileOptionLists
from executor.folders import Folders, OutsideFolder
from nodes.conditioning import CLIPTextEncode
from nodes.context import installed_files, use_files
from nodes.datasets.files import (
    LoadImageDataSetFromFolder,
    LoadImageTextDataSetFromFolder,
    SaveImageDataSetToFolder,
    SaveImageTextDataSetToFolder,
)
from nodes.datasets.images import (
    AdjustContrast,
    ImageDeduplication,
    ImageGrid,
    RandomCropImages,
    ShuffleDataset,
    ShuffleImageTextDataset,
)
from nodes.datasets.texts import AddTextPrefix, MergeTextLists, TruncateText
from nodes.datasets.training import (
    LoadTrainingDataset,
    MakeTrainingDataset,
    ResolutionBucket,
    SaveTrainingDataset,
)
from nodes.vae import VAEEncode
from tests.executor.worker.harness import BASIC, Bench, node
from tests.nodes.context import node_context


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    before = installed_files()
    with node_context(tmp_path) as made:
        use_files(FileOptionLists(made))
        yield made
    use_files(before)


def shade(value: float, width: int = 6, height: int = 4) -> Tensor:
    return torch.full((1, height, width, 3), value)


def fill(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (3, 2), (number * 51,) * 3).save(folder / name)


def reds(images: list[Tensor]) -> list[float]:
    return [round(float(image[0, 0, 0, 0]) * 5) for image in images]


def test_a_folder_gives_its_pictures_in_the_order_of_their_names(folders: Folders) -> None:
    fill(folders.input / "cats", "b.png", "a.webp", "C.PNG")
    (folders.input / "cats" / "text.md").touch()
    assert FileOptionLists(folders).names(INPUT_FOLDERS) == ["cats"]
    (images,) = LoadImageDataSetFromFolder().run("cats")
    assert reds(images) == [2, 1, 0]
    assert images[0].shape == (1, 2, 3, 3)


def test_pictures_come_with_the_texts_beside_them(folders: Folders) -> None:
    fill(folders.input / "cats", "a.png", "b.png")
    (folders.input / "cats" / "b.txt").write_text("a cat\n")
    fill(folders.input / "cats" / "2_dogs", "d.png")
    fill(folders.input / "cats" / "notes", "e.png")
    images, texts = LoadImageTextDataSetFromFolder().run("cats")
    assert (reds(images), texts) == ([0, 1, 0, 0], ["", "a cat", "", ""])


def test_a_changed_folder_is_read_anew(folders: Folders) -> None:
    fill(folders.input / "cats", "a.png")
    before = LoadImageDataSetFromFolder.IS_CHANGED("cats")
    assert LoadImageDataSetFromFolder.IS_CHANGED("cats") == before
    fill(folders.input / "cats", "b.png")
    assert LoadImageDataSetFromFolder.IS_CHANGED("cats") != before


def test_a_folder_without_pictures_and_one_outside_are_refused(folders: Folders) -> None:
    (folders.input / "empty").mkdir()
    for reader in (LoadImageDataSetFromFolder(), LoadImageTextDataSetFromFolder()):
        with pytest.raises(ValueError, match="no pictures in the folder 'empty'"):
            reader.run("empty")
        with pytest.raises(OutsideFolder):
            reader.run("../..")


def test_pictures_and_texts_are_written_side_by_side(folders: Folders) -> None:
    pair = [torch.cat([shade(0.2), shade(0.4)]), shade(0.6)]
    SaveImageTextDataSetToFolder().run(pair, ["x", "y", "z"], ["set/one"], ["pic"])
    folder = folders.output / "set" / "one"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"pic_0000000{i}.{suffix}" for i in range(3) for suffix in ("png", "txt")
    ]
    assert (folder / "pic_00000002.txt").read_text() == "z"
    with pytest.raises(ValueError, match="3 images, but 1 texts"):
        SaveImageTextDataSetToFolder().run(pair, ["x"], ["set"], ["pic"])


def test_a_dataset_grows_where_that_is_asked_for(folders: Folders) -> None:
    node, pictures = SaveImageTextDataSetToFolder(), [torch.zeros(2, 4, 4, 3)]
    for texts in (["a", "b"], ["c", "d"]):
        node.run(pictures, texts, ["grows"], ["x"], ["increment"])
    node.run(pictures, ["e", "f"], ["grows"], ["x"])
    found = sorted((folders.output / "grows").glob("*.txt"))
    assert [path.name for path in found] == [f"x_{number:08}.txt" for number in range(4)]
    assert [path.read_text() for path in found] == ["e", "f", "c", "d"]


def test_a_dataset_is_not_written_outside_of_its_folder(folders: Folders) -> None:
    for folder, prefix in (("../x", "a"), ("x", "../../a")):
        with pytest.raises(OutsideFolder):
            SaveImageDataSetToFolder().run([shade(0)], [folder], [prefix])


def test_the_same_seed_gives_the_same_order_and_place() -> None:
    images = [shade(i / 10) for i in range(8)]
    first, again = (ShuffleDataset().run(images, [3])[0] for _ in range(2))
    assert reds(first) == reds(again)
    assert sorted(reds(first)) == sorted(reds(images)) and reds(first) != reds(images)
    texts = [str(i) for i in range(8)]
    shuffled, named = ShuffleImageTextDataset().run(images, texts, [2**64 - 1])
    assert [round(float(x.max()) * 10) for x in shuffled] == [int(text) for text in named]
    picture = torch.rand(1, 30, 30, 3)
    places = [RandomCropImages().run(picture, 4, 4, seed)[0] for seed in (1, 1, 2)]
    assert torch.equal(places[0], places[1]) and not torch.equal(places[0], places[2])


def test_pictures_that_look_alike_are_left_out() -> None:
    torch.manual_seed(0)
    noise = torch.rand(2, 32, 32, 3)
    images = [noise[:1], noise[:1] * 0.9, noise[1:], torch.cat([noise[1:], noise[:1]])]
    (kept,) = ImageDeduplication().run(images, [0.95])
    assert len(kept) == 2


def test_a_grid_holds_each_picture_in_the_middle_of_its_cell() -> None:
    images = [shade(0.2, 64, 32), shade(1.0, 32, 64), shade(0.6, 32, 32)]
    (grid,) = ImageGrid().run(images, [2], [32], [32], [4])
    assert grid.shape == (1, 68, 68, 3)
    centres = grid[0, [16, 16, 52, 52], [16, 52, 16, 52], 0].tolist()
    assert centres == pytest.approx([0.2, 1.0, 0.6, 0.0])
    assert grid[0, 2, 16, 0] == 0  # above the first, which is wide


def test_contrast_moves_values_away_from_grey() -> None:
    torch.testing.assert_close(AdjustContrast().run(shade(0.6), 2.0)[0], shade(0.7))
    assert AdjustContrast().run(shade(0.1), 2.0)[0].min() == 0


def test_texts_of_a_list_are_changed_each_and_merged_into_a_list() -> None:
    classes = {**BASIC, **{x.__name__: x for x in (AddTextPrefix, TruncateText, MergeTextLists)}}

    class Texts:
        RETURN_TYPES = ("STRING",)
        OUTPUT_IS_LIST = (True,)
        FUNCTION = "run"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {}}

        def run(self) -> tuple[list[str]]:
            return (["one", "three"],)

    graph = {
        "1": node("Texts"),
        "2": node("AddTextPrefix", texts=["1", 0], prefix="> "),
        "3": node("TruncateText", texts=["2", 0], max_length=4),
        "4": node("MergeTextLists", texts=["3", 0]),
        "5": node("Show", value=["4", 0]),
    }
    outputs = Bench({**classes, "Texts": Texts}).run(graph).finished.outputs
    assert outputs["5"]["text"] == ["> on", "> th"]


def latent(height: int, value: float) -> dict[str, Tensor]:
    return {"samples": torch.full((1, 4, height, 2), value)}


def test_an_encoded_dataset_comes_back_from_its_files(folders: Folders) -> None:
    latents = [latent(2, i) for i in range(3)]
    texts = [[[torch.full((1, 2, 3), float(i)), {"pooled_output": None}]] for i in range(3)]
    SaveTrainingDataset().run(latents, texts, ["set"], [1])
    SaveTrainingDataset().run(latents, texts, ["set"], [2])
    names = sorted(path.name for path in (folders.output / "set").iterdir())
    assert names == ["metadata.json", "shard_0000.pkl", "shard_0001.pkl"]
    read, conditioning = LoadTrainingDataset().run("set")
    assert [float(x["samples"].max()) for x in read] == [0, 1, 2]
    assert [float(x[0][0].max()) for x in conditioning] == [0, 1, 2]
    with pytest.raises(ValueError, match="no training dataset"):
        LoadTrainingDataset().run("none")


def test_a_dataset_file_that_runs_code_is_not_read(folders: Folders) -> None:
    folder = folders.output / "set"
    folder.mkdir()
    torch.save({"latents": [Path("/")], "conditioning": [1]}, folder / "shard_0000.pkl")
    with pytest.raises(Exception, match="Weights only load failed"):
        LoadTrainingDataset().run("set")


def test_latents_of_one_size_become_a_batch_with_their_conditionings() -> None:
    latents = [latent(2, 0), latent(3, 1), latent(2, 2)]
    batches, texts = ResolutionBucket().run(latents, ["a", "b", "c"])
    assert [tuple(batch["samples"].shape) for batch in batches] == [(2, 4, 2, 2), (1, 4, 3, 2)]
    assert texts == [["a", "c"], ["b"]]
    with pytest.raises(ValueError, match="3 latents, but 1 conditionings"):
        ResolutionBucket().run(latents, ["a"])


def test_pictures_and_texts_are_encoded_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VAEEncode, "run", lambda self, vae, pixels: (pixels.shape,))
    monkeypatch.setattr(CLIPTextEncode, "run", lambda self, clip, text: (text,))
    images = [torch.zeros(1, 2, 2, 4), torch.zeros(1, 3, 3, 3)]
    for texts, expected in ((None, ["", ""]), (["a"], ["a", "a"]), (["a", "b"], ["a", "b"])):
        latents, encoded = MakeTrainingDataset().run(images, ["vae"], ["clip"], texts)
        assert latents == [(1, 2, 2, 3), (1, 3, 3, 3)]
        assert encoded == expected
    with pytest.raises(ValueError, match="2 images, but 3 texts"):
        MakeTrainingDataset().run(images, ["vae"], ["clip"], ["a", "b", "c"])
