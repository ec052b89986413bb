"""Networks that enlarge pictures: read from every common form of file, run in tiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from torch import Tensor

from models.errors import InvalidInput, UnknownModelFamily, UnsafeCheckpoint
from models.memory import choose_policy
from models.upscale import load_upscale_model, upscale
from nodes.context import Interrupted
from nodes.upscale_models import ImageUpscaleWithModel, UpscaleModelLoader
from tests.nodes.context import RecordingReporter, node_context

POLICY = choose_policy(cpu=True)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    network = Compact(num_in_ch=3, num_out_ch=3, num_feat=4, num_conv=1, upscale=2)
    return {name: value * 0.1 for name, value in network.state_dict().items()}


@pytest.fixture(params=["net.safetensors", "net.pth", "ema.pth", "module.pt"])
def path(request: pytest.FixtureRequest, tmp_path: Path, state: dict[str, Tensor]) -> Path:
    """The same network as trainers save it."""
    file: Path = tmp_path / request.param
    forms: dict[str, Any] = {
        "net.pth": state,
        "ema.pth": {"params_ema": state},
        "module.pt": {"params": {f"module.{name}": value for name, value in state.items()}},
    }
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(forms[request.param], file)
    return file


@pytest.fixture
def net(tmp_path: Path, state: dict[str, Tensor]) -> Iterator[Any]:
    save_file(state, tmp_path / "net.safetensors")
    yield load_upscale_model(tmp_path / "net.safetensors")


def test_a_network_is_read_in_every_form(path: Path) -> None:
    model = load_upscale_model(path)
    assert (model.scale, model.input_channels) == (2, 3)
    assert not model.model.training


def test_a_file_of_something_else_names_what_is_known(tmp_path: Path) -> None:
    save_file({"strange.weight": torch.zeros(1)}, tmp_path / "strange.safetensors")
    with pytest.raises(UnknownModelFamily, match=r"strange\.weight.*ESRGAN"):
        load_upscale_model(tmp_path / "strange.safetensors")


def test_a_pickle_that_asks_for_code_is_not_executed(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "was_here",))

    torch.save({"params": Attack()}, tmp_path / "attack.pth")
    with pytest.raises(UnsafeCheckpoint):
        load_upscale_model(tmp_path / "attack.pth")
    assert not (tmp_path / "was_here").exists()


def test_pictures_are_enlarged_one_by_one_and_lose_their_alpha(net: Any) -> None:
    images = torch.rand(2, 6, 5, 4)
    enlarged = upscale(net, images, POLICY)
    assert enlarged.shape == (2, 12, 10, 3)
    alone = upscale(net, images[1:], POLICY)
    torch.testing.assert_close(enlarged[1:], alone)
    assert 0 <= enlarged.min() <= enlarged.max() <= 1


def test_tiles_make_nearly_the_picture_that_the_whole_makes(
    net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.rand(1, 40, 70, 3)
    whole = upscale(net, image, POLICY)
    monkeypatch.setattr("models.upscale._TILE", 32)
    monkeypatch.setattr("models.upscale._OVERLAP", 8)
    seen: list[tuple[int, int]] = []
    tiled = upscale(net, image, POLICY, lambda done, total: seen.append((done, total)))
    torch.testing.assert_close(tiled, whole, atol=0.02, rtol=0)
    assert seen == [(i + 1, 6) for i in range(6)]


def test_smaller_tiles_are_tried_when_memory_does_not_suffice(
    net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.rand(1, 300, 20, 3)
    whole = upscale(net, image, POLICY)
    call = type(net).__call__
    sides = []

    def short_of_memory(self: Any, part: Tensor) -> Tensor:
        sides.append(max(part.shape[-2:]))
        if sides[-1] > 128:
            raise torch.OutOfMemoryError("no memory")
        result: Tensor = call(self, part)
        return result

    monkeypatch.setattr(type(net), "__call__", short_of_memory)
    torch.testing.assert_close(upscale(net, image, POLICY), whole, atol=0.02, rtol=0)
    assert sides == [300, 256, 128, 128, 128]


def test_an_end_of_memory_with_small_tiles_ends_the_work(
    net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_of_memory(self: Any, part: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(type(net), "__call__", short_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        upscale(net, torch.rand(1, 4, 4, 3), POLICY)


def test_a_picture_that_the_network_does_not_take_is_refused(net: Any) -> None:
    with pytest.raises(InvalidInput, match="3 channels, not 1"):
        upscale(net, torch.rand(1, 4, 4, 1), POLICY)


def test_the_nodes_load_run_report_and_can_be_interrupted(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    reporter = RecordingReporter()
    with node_context(tmp_path, policy=POLICY, reporter=reporter) as folders:
        save_file(state, folders.kind_folders("upscale_models")[0] / "net.safetensors")
        (model,) = UpscaleModelLoader().run("net.safetensors")
        image = torch.rand(2, 4, 4, 3)
        assert ImageUpscaleWithModel().run(model, image)[0].shape == (2, 8, 8, 3)
        assert reporter.reports == [("1", 1, 2), ("1", 2, 2)]
        reporter.interrupted = True
        with pytest.raises(Interrupted):
            ImageUpscaleWithModel().run(model, image)
