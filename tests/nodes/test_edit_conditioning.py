"""Pictures for models that see one beside the noisy latent."""

from __future__ import annotations

import torch

from nodes.edit_conditioning import (
    HiDreamO1ReferenceImages,
    InpaintModelConditioning,
    InstructPixToPixConditioning,
)
from nodes.pixel_space import PixelSpaceVae

PROMPT = [[torch.ones(1, 2, 3), {"strength": 0.5}]]


def test_an_inpainting_model_sees_grey_under_the_mask_and_the_latent_keeps_all() -> None:
    pixels = torch.ones(1, 8, 8, 3)
    mask = torch.zeros(1, 8, 8)
    mask[:, 4:] = 1
    positive, negative, latent = InpaintModelConditioning().run(
        PROMPT, PROMPT, pixels, PixelSpaceVae(), mask
    )
    for side in (positive, negative):
        [[_, options]] = side
        seen = PixelSpaceVae().decode(options["concat_latent_image"])
        assert torch.all(seen[:, :4] == 1) and torch.all(seen[:, 4:] == 0.5)
        assert torch.equal(options["concat_mask"], mask.unsqueeze(1))
        assert options["strength"] == 0.5
    assert torch.all(PixelSpaceVae().decode(latent["samples"]) == 1)
    assert torch.equal(latent["noise_mask"], mask.unsqueeze(1))


def test_the_latent_of_an_inpainting_model_can_go_without_mask() -> None:
    *_, latent = InpaintModelConditioning().run(
        PROMPT, PROMPT, torch.ones(1, 8, 8, 3), PixelSpaceVae(), torch.ones(4, 4), False
    )
    assert set(latent) == {"samples"}


def test_an_editing_model_starts_from_nothing_and_sees_the_picture() -> None:
    positive, negative, latent = InstructPixToPixConditioning().run(
        PROMPT, PROMPT, PixelSpaceVae(), torch.ones(1, 8, 8, 3)
    )
    assert not latent["samples"].any()
    for side in (positive, negative):
        assert torch.all(PixelSpaceVae().decode(side[0][1]["concat_latent_image"]) == 1)


def test_pictures_to_refer_to_come_in_the_order_of_their_inputs() -> None:
    first, second = torch.rand(1, 4, 6, 3), torch.rand(2, 8, 8, 4)
    node = HiDreamO1ReferenceImages()
    flat = {"images.image_10": second, "images.image_2": first}
    positive, negative = node.run_flat(positive=PROMPT, negative=PROMPT, **flat)
    for side in (positive, negative):
        [[_, options]] = side
        expected = [first, second[:1, ..., :3], second[1:, ..., :3]]
        found = options["reference_images"]
        assert len(found) == 3 and all(map(torch.equal, found, expected))
        assert options["strength"] == 0.5
    assert node.run_flat(positive=PROMPT, negative=PROMPT) == (PROMPT, PROMPT)
