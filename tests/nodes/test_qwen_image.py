"""What the nodes of Qwen-Image-Edit ask, against transformers' forward of the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.errors import InvalidInput
from models.families.language.qwen_pictures import merged
from models.memory import Policy
from models.text.chunks import Picture
from models.text.handle import TextHandle
from nodes.conditioning import CLIPTextEncode
from nodes.qwen_image import TextEncodeQwenImageEdit, TextEncodeQwenImageEditPlus, fitted
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
    model: Any, clip: TextHandle, text: str, pictures: Sequence[Tensor], skipped: int
) -> Tensor:
    """The last hidden states, without what templates begin with, as diffusers' pipelines say."""
    vocabulary = tiny.encoder_of(clip).tokenizer.vocabulary
    found = [tiny.RETINA.patches(Picture(frames=picture)) for picture in pictures]
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
