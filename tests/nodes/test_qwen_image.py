"""What the nodes of Qwen-Image-Edit ask, against transformers' forward of the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.families.language.qwen3_vl import RETINA
from models.families.language.qwen_pictures import Retina, merged
from models.memory import Policy
from models.text.chunks import Picture
from models.text.handle import TextHandle
from nodes.conditioning import CLIPTextEncode
from nodes.qwen_image import (
    TextEncodeQwenImage21,
    TextEncodeQwenImageEdit,
    TextEncodeQwenImageEditPlus,
    fitted,
    on_white,
)
from tests.models.conftest import policy
from tests.models.text import language_models as tiny

__all__ = ["policy"]

DESCRIBE = (
    "Describe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:"
)
EDIT = (
    "Describe the key features of the input image (color, shape, size, texture, objects, "
    "background), then explain how the user's text instruction should alter or modify the image. "
    "Generate a new image that meets the user's requirements while maintaining consistency with "
    "the original input where appropriate."
)
PAD = "<|image_pad|>"
WIDE = torch.rand(1, 30, 50, 3, generator=torch.Generator().manual_seed(1))
TALL = torch.rand(2, 64, 40, 4, generator=torch.Generator().manual_seed(2))


class Vae:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def encode(self, pixels: Tensor) -> Tensor:
        """A latent with the number of the picture."""
        self.seen.append(pixels)
        return torch.full((1, 16, 1, 2, 2), float(len(self.seen)))


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny.qwen2_5_vl().eval()


@pytest.fixture(scope="module")
def clip(model: Any, tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> TextHandle:
    path = tmp_path_factory.mktemp("clip") / "qwen.safetensors"
    return tiny.loaded("qwen_image", tiny.write(path, tiny.tensors_of(model)), policy)


def expected(
    model: Any,
    clip: TextHandle,
    text: str,
    pictures: Sequence[Tensor],
    skipped: int,
    retina: Retina = tiny.RETINA,
) -> Tensor:
    """The last hidden states, without what templates begin with, as diffusers' pipelines say."""
    vocabulary = tiny.encoder_of(clip).tokenizer.vocabulary
    found = [retina.patches(Picture(frames=picture)) for picture in pictures]
    for _, grid in found:
        frames, rows, columns = merged(grid)
        text = text.replace(PAD, "<|?|>" * (frames * rows * columns), 1)
    ids = torch.tensor([vocabulary.ids(text.replace("<|?|>", PAD))])
    more = {}
    if found:
        more = {
            "pixel_values": torch.cat([patches for patches, _ in found]),
            "image_grid_thw": torch.tensor([grid for _, grid in found]),
            "mm_token_type_ids": (ids == vocabulary.ids(PAD)[0]).long(),
        }
    with torch.no_grad():
        states: Tensor = model(input_ids=ids, output_hidden_states=True, **more).hidden_states[-1]
    return states[:, skipped:]


def turn(system: str, user: str) -> str:
    return (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_prompts_are_described_and_the_template_is_left_out(model: Any, clip: TextHandle) -> None:
    wanted = expected(model, clip, turn(DESCRIBE, "two cats"), [], 34)
    for node in (CLIPTextEncode(), TextEncodeQwenImageEdit()):
        ((found, options),) = node.run(clip, "two cats")[0]
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)
        assert "reference_latents" not in options


def test_one_picture_is_seen_and_referred_to_at_the_same_size(model: Any, clip: TextHandle) -> None:
    vae: Any = Vae()
    ((found, options),) = TextEncodeQwenImageEdit().run(clip, "make it red", vae, WIDE)[0]
    (picture,) = vae.seen
    assert picture.shape == (1, 800, 1312, 3)  # 1024 x 1024 pixels at 5 to 3, in steps of 32
    text = turn(EDIT, f"<|vision_start|>{PAD}<|vision_end|>make it red")
    wanted = expected(model, clip, text, [picture], 64)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)
    assert [float(latent.mean()) for latent in options["reference_latents"]] == [1.0]


def test_several_pictures_are_numbered_without_gaps(model: Any, clip: TextHandle) -> None:
    vae: Any = Vae()
    node = TextEncodeQwenImageEditPlus()
    ((found, options),) = node.run(clip, "both", vae, image1=WIDE, image2=None, image3=TALL)[0]
    assert [tuple(picture.shape) for picture in vae.seen] == [(1, 800, 1312, 3), (1, 1280, 800, 3)]
    frames = [f"Picture {n}: <|vision_start|>{PAD}<|vision_end|>" for n in (1, 2)]
    small = [fitted(picture, 384 * 384) for picture in (WIDE, TALL)]
    assert [tuple(picture.shape[1:3]) for picture in small] == [(288, 480), (480, 288)]
    wanted = expected(model, clip, turn(EDIT, "".join(frames) + "both"), small, 64)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)
    assert len(options["reference_latents"]) == 2
    ((_, without),) = node.run(clip, "both", None, image1=WIDE)[0]
    assert "reference_latents" not in without


def test_a_grey_picture_is_seen_in_colour() -> None:
    grey = torch.rand(1, 8, 8, 1)
    found = fitted(grey, 384 * 384)
    assert found.shape == (1, 384, 384, 3)
    assert torch.equal(found[..., 0], found[..., 2])


def test_text_encoders_that_cannot_see_say_so(tmp_path: Path, policy: Policy) -> None:
    path = tiny.write(tmp_path / "q.safetensors", tiny.tensors_of(tiny.qwen3()))
    blind = tiny.loaded("lumina2", path, policy)
    with pytest.raises(InvalidInput, match="takes no pictures"):
        TextEncodeQwenImageEditPlus().run(blind, "both", image1=WIDE)


@pytest.fixture(scope="module")
def newer() -> Any:
    return tiny.qwen3_vl().eval()


@pytest.fixture(scope="module")
def newer_clip(newer: Any, tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> TextHandle:
    path = tmp_path_factory.mktemp("clip") / "qwen3.safetensors"
    return tiny.loaded("qwen_image", tiny.write(path, tiny.tensors_of(newer)), policy)


COMPREHEND = "Comprehend and analyze the provided prompt."


def unnormed(
    model: Any, clip: TextHandle, text: str, pictures: Sequence[Tensor], skipped: int
) -> Tensor:
    """`expected`, before the norm that ends the layers."""
    norm = model.model.language_model.norm
    handle = norm.register_forward_hook(lambda _module, inputs, _output: inputs[0])
    try:
        return expected(model, clip, text, pictures, skipped, RETINA)
    finally:
        handle.remove()


def skipped(clip: TextHandle) -> int:
    """Tokens of the system's turn."""
    ids = tiny.encoder_of(clip).tokenizer.vocabulary.ids
    return len(ids(f"<|im_start|>system\n{COMPREHEND}<|im_end|>\n"))


def test_prompts_of_2_1_are_taken_before_the_last_norm(newer: Any, newer_clip: TextHandle) -> None:
    positive, negative, latent = TextEncodeQwenImage21().run(newer_clip, "two cats", "", 512)
    for text, ((found, options),) in (("two cats", positive), (" ", negative)):
        wanted = unnormed(newer, newer_clip, turn(COMPREHEND, text), [], skipped(newer_clip))
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)
        assert "picture_slots" not in options
    assert latent["samples"].shape == (1, 64, 1, 32, 32)
    ((plain, _),) = CLIPTextEncode().run(newer_clip, "two cats")[0]
    torch.testing.assert_close(plain, positive[0][0])


def test_pictures_of_2_1_have_places_in_both_prompts(newer: Any, newer_clip: TextHandle) -> None:
    vae: Any = Vae()
    node = TextEncodeQwenImage21()
    images = {"image_1": WIDE, "image_2": TALL}
    positive, negative, latent = node.run(newer_clip, "both", "no", 256, vae, images)
    assert [tuple(p.shape) for p in vae.seen] == [(1, 192, 320, 3), (1, 320, 192, 4)]
    assert latent["samples"].shape == (1, 64, 1, 12, 20)
    frame = f"<|vision_start|>{PAD}<|vision_end|>"
    seen = [on_white(picture) for picture in vae.seen]
    for text, ((found, options),) in (("both", positive), ("no", negative)):
        prompt = turn(COMPREHEND, f"<image1>{frame} <image2>{frame}{text}")
        wanted = unnormed(newer, newer_clip, prompt, seen, skipped(newer_clip))
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
        assert len(options["reference_latents"]) == 2
        slots = options["picture_slots"]
        assert slots.shape == found.shape[:2]
        runs = torch.diff(slots[0].int(), prepend=torch.zeros(1)).eq(1).sum()
        assert (int(runs), int(slots.sum())) == (2, 2 * 6 * 10)
    ((_, blind),) = node.run(newer_clip, "both", "", 256, None, {"image_1": WIDE})[0]
    assert "picture_slots" not in blind


def test_transparent_parts_of_a_picture_are_white() -> None:
    picture = torch.tensor([0.2, 0.4, 0.6, 0.5]).reshape(1, 1, 1, 4)
    torch.testing.assert_close(on_white(picture).flatten(), torch.tensor([0.6, 0.7, 0.8]))


def test_resolution_0_keeps_the_size_of_a_picture(newer_clip: TextHandle) -> None:
    vae: Any = Vae()
    picture = torch.rand(1, 250, 330, 3)
    TextEncodeQwenImage21().run(newer_clip, "one", "", 0, vae, {"image_1": picture})
    assert vae.seen[0].shape == (1, 256, 320, 3)
