"""Words in boxes: the result is that of diffusers' UNet with the same layers in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput, PartMissing, UnsupportedLayout
from models.gligen import MOST_BOXES, Gligen, Phrase, grounded_at, load_gligen
from models.handle import ModelHandle
from models.load import Checkpoint
from models.memory import Policy
from models.protocol.guider import CFGGuider
from models.protocol.k_samplers import sampler_object
from models.sampling.window import Window
from tests.models.tiny import TinyModel, save
from tests.models.tiny_gligen import gligen_tensors

WORDS = 16
SIDE = 8  # of the latent


@pytest.fixture(scope="module")
def gligen(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> Gligen:
    path = tmp_path_factory.mktemp("gligen") / "boxes.safetensors"
    return load_gligen(save(path, gligen_tensors(), TinyModel().config), policy)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def phrase(left: int = 16, top: int = 0, width: int = 32, height: int = 40) -> Phrase:
    words = random(WORDS, seed=5)
    return Phrase(words=words, left=left, top=top, width=width, height=height)


def conditioning(seed: int) -> list[list[Any]]:
    return [[random(1, 77, 16, seed=seed), {}]]


def denoised(
    model: ModelHandle, positive: Any, negative: Any, x: Tensor, sigma: float
) -> dict[str, Tensor]:
    """What is predicted for each side at a level."""
    seen: dict[str, Tensor] = {}

    def watch(args: dict[str, Any]) -> Tensor:
        seen.update(positive=args["cond_denoised"], negative=args["uncond_denoised"])
        found: Tensor = args["denoised"]
        return found

    watched = model.clone()
    watched.set_model_sampler_post_cfg_function(watch, disable_cfg1_optimization=True)
    guider = CFGGuider(watched)
    guider.set_conds(positive, negative)
    guider.set_cfg(3.0)
    noise = x / sigma
    guider.sample(
        noise, torch.zeros_like(noise), sampler_object("euler"), torch.tensor([sigma, 0.0])
    )
    return seen


def reference(model: ModelHandle, gligen: Gligen, x: Tensor, sigma: float) -> Any:
    """Predictions of diffusers' own UNet with GLIGEN: of (context, boxes, words, there)."""
    from diffusers import UNet2DConditionModel

    config = dict(model.network.module.config)
    unet = UNet2DConditionModel(**config | {"attention_type": "gated"})
    tensors = {name: t.float() for name, t in model.network.module.state_dict().items()}
    for name, tensor in gligen.network.module.state_dict().items():
        if name.startswith("fusers."):
            _, number, layer = name.split(".", 2)
            place = (
                "down_blocks.0.attentions.0",
                "mid_block.attentions.0",
                "up_blocks.1.attentions.0",
                "up_blocks.1.attentions.1",
            )[int(number)]
            tensors[f"{place}.transformer_blocks.0.fuser.{layer}"] = tensor
        else:
            tensors[name] = tensor
    unet.load_state_dict(tensors)
    sampling = model.get_model_object("model_sampling")
    level = torch.full((len(x),), sigma)

    def predict(context: Tensor, boxes: Tensor, words: Tensor, there: Tensor) -> Tensor:
        said = {"boxes": boxes, "positive_embeddings": words, "masks": there}
        with torch.no_grad():
            output = unet(
                sampling.calculate_input(level, x),
                sampling.timestep(level),
                context,
                cross_attention_kwargs={"gligen": said},
            ).sample
        found: Tensor = sampling.calculate_denoised(level, output, x)
        return found

    return predict


def test_both_sides_are_predicted_as_diffusers_does(tiny: Checkpoint, gligen: Gligen) -> None:
    x, sigma = random(1, 4, SIDE, SIDE, seed=1) * 3.0, 3.0
    positive, negative = conditioning(2), conditioning(3)
    found = denoised(tiny.model, grounded_at(positive, gligen, phrase()), negative, x, sigma)
    predict = reference(tiny.model, gligen, x, sigma)
    boxes, words, there = (
        torch.zeros(1, MOST_BOXES, 4), torch.zeros(1, MOST_BOXES, WORDS),
        torch.zeros(1, MOST_BOXES),
    )  # fmt: skip
    nothing = predict(negative[0][0], boxes, words, there)
    boxes[0, 0] = torch.tensor([0.25, 0.0, 0.75, 0.625])
    words[0, 0], there[0, 0] = phrase().words, 1.0
    box = predict(positive[0][0], boxes, words, there)
    torch.testing.assert_close(found["positive"], box, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["negative"], nothing, rtol=1e-4, atol=1e-4)
    plain = denoised(tiny.model, positive, negative, x, sigma)
    assert not torch.allclose(plain["positive"], box, rtol=1e-2, atol=1e-2)


def test_nothing_of_it_stays_in_the_network(tiny: Checkpoint, gligen: Gligen) -> None:
    x = random(1, 4, SIDE, SIDE, seed=1) * 3.0
    before = denoised(tiny.model, conditioning(2), conditioning(3), x, 3.0)
    denoised(tiny.model, grounded_at(conditioning(2), gligen, phrase()), conditioning(3), x, 3.0)
    after = denoised(tiny.model, conditioning(2), conditioning(3), x, 3.0)
    torch.testing.assert_close(after["positive"], before["positive"], rtol=0, atol=0)


def test_entries_without_boxes_go_without_the_layers(tiny: Checkpoint, gligen: Gligen) -> None:
    x = random(1, 4, SIDE, SIDE, seed=1) * 3.0
    grounded = grounded_at(conditioning(2), gligen, phrase())
    both = denoised(tiny.model, [*grounded, *conditioning(4)], conditioning(3), x, 3.0)
    boxes = denoised(tiny.model, grounded, conditioning(3), x, 3.0)
    plain = denoised(tiny.model, conditioning(4), conditioning(3), x, 3.0)
    mean = (boxes["positive"] + plain["positive"]) / 2
    torch.testing.assert_close(both["positive"], mean, rtol=1e-4, atol=1e-4)


def test_boxes_are_parts_of_the_window_that_is_predicted() -> None:
    one = phrase(left=32, top=16, width=32, height=32)
    assert one.box(Window((8, 8), (0, 0))) == (0.5, 0.25, 1.0, 0.75)
    assert one.box(Window((4, 4), (2, 4))) == (0.0, 0.0, 1.0, 1.0)
    assert one.box(Window((4, 4), (4, 0))) is None


def test_boxes_add_up_to_a_limit(gligen: Gligen) -> None:
    grounded: Any = conditioning(2)
    for number in range(MOST_BOXES):
        grounded = grounded_at(grounded, gligen, phrase(left=8 * number))
    lefts = [one.left for one in grounded[0][1]["gligen"].phrases]
    assert lefts == [8 * number for number in range(MOST_BOXES)]
    with pytest.raises(InvalidInput, match="at most 30"):
        grounded_at(grounded, gligen, phrase())


def test_words_of_another_text_encoder_are_refused(gligen: Gligen) -> None:
    wide = replace(phrase(), words=torch.zeros(1024))
    with pytest.raises(InvalidInput, match="1024"):
        grounded_at(conditioning(2), gligen, wide)


def test_two_models_cannot_ground_one_conditioning(gligen: Gligen) -> None:
    grounded = grounded_at(conditioning(2), gligen, phrase())
    with pytest.raises(InvalidInput, match="one GLIGEN model"):
        grounded_at(grounded, replace(gligen), phrase())


def test_a_unet_of_diffusers_may_hold_the_layers(
    tmp_path: Path, gligen: Gligen, policy: Policy
) -> None:
    places = {
        "input_blocks.1.1": "down_blocks.0.attentions.0",
        "middle_block.1": "mid_block.attentions.0",
        "output_blocks.2.1": "up_blocks.1.attentions.0",
        "output_blocks.3.1": "up_blocks.1.attentions.1",
    }

    def renamed(name: str) -> str:
        return next((d + name[len(o) :] for o, d in places.items() if name.startswith(o)), name)

    tensors = {renamed(name): tensor for name, tensor in gligen_tensors().items()}
    # From this the number of blocks of a level is read.
    tensors["down_blocks.0.resnets.0.norm1.weight"] = torch.ones(16)
    path = save(tmp_path / "unet.safetensors", tensors, TinyModel().config)
    ours = load_gligen(path, policy).network.module.state_dict()
    for name, tensor in gligen.network.module.state_dict().items():
        assert torch.equal(ours[name], tensor)


def test_files_without_the_layers_are_refused(tmp_path: Path, policy: Policy) -> None:
    with pytest.raises(PartMissing, match="GLIGEN"):
        load_gligen(save(tmp_path / "other.safetensors", {"a": torch.ones(2)}), policy)
    pictures = {"position_net.linears_text.0.weight": torch.ones(2)}
    with pytest.raises(UnsupportedLayout, match="pictures"):
        load_gligen(save(tmp_path / "pictures.safetensors", pictures), policy)
