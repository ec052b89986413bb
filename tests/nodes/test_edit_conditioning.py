"""Pictures for models that see one beside the noisy latent."""

from __future__ import annotations

import torch

from nodes.edit_conditioning import InpaintModelConditioning, InstructPixToPixConditioning
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
