"""The picture that controls a run, fitted to the latent that is sampled."""

from __future__ import annotations

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.math import resize
from models.protocol.control import ControlBase, broadcast_image_to
from models.protocol.latent_formats import LatentFormat
from models.sampling.conditioning import repeat_to_batch


def fitted_hint(control: ControlBase, x: Tensor, batched_number: int, channels: int) -> Tensor:
    """The hint [B or 1, channels, H, W] for a latent x [B, C, h, w]; kept until sizes change.

    It is resized to the latent's size in pixels and cut in the middle, as all pictures are that
    stand beside a latent. A network for one channel gets the mean of the colours.
    """
    original = control.cond_hint_original
    assert original is not None, "a control without a hint takes part in a run"
    height, width = (side * control.compression_ratio for side in x.shape[-2:])
    hint = control.cond_hint
    if hint is None or tuple(hint.shape[-2:]) != (height, width):
        hint = resize(original, width, height, control.upscale_algorithm, crop=True)
        hint = control.preprocess_image(hint)
        hint = hint.mean(dim=1, keepdim=True) if channels == 1 else hint[:, :channels]
        control.cond_hint = hint
    if hint.shape[0] != x.shape[0]:
        hint = broadcast_image_to(hint, x.shape[0], batched_number)
    return hint


def encoded_hint(
    control: ControlBase, x: Tensor, batched_number: int, latents: LatentFormat, masks: int = 0
) -> Tensor:
    """The hint [B or 1, C + masks, h, w] as a latent in model space, for networks that see that.

    It is encoded by the VAE that the control was applied with; kept until sizes change. `masks`
    channels beside it are what was given as `extra_concat`, or ones: all of the picture is known.
    """
    original = control.cond_hint_original
    assert original is not None, "a control without a hint takes part in a run"
    if control.vae is None:
        raise InvalidInput(
            "this ControlNet sees pictures through a VAE: apply it with a VAE (as the nodes "
            "'Apply ControlNet' and 'Apply Controlnet with VAE' do)"
        )
    height, width = x.shape[-2:]
    hint = control.cond_hint
    if hint is None or tuple(hint.shape[-2:]) != (height, width):
        ratio = int(control.vae.downscale)
        picture = resize(
            original, width * ratio, height * ratio, control.upscale_algorithm, crop=True
        )
        encoded = control.vae.encode(control.preprocess_image(picture).movedim(1, -1))
        if encoded.shape[1] != latents.channels:
            raise InvalidInput(
                f"this ControlNet sees latents of {latents.channels} channels, and the VAE that it "
                f"was applied with makes {encoded.shape[1]}: apply it with the VAE of the model"
            )
        hint = latents.scale_in(encoded)
        if masks:
            hint = torch.cat([hint, _mask(control, hint, masks)], dim=1)
        control.cond_hint = hint
    if hint.shape[0] != x.shape[0]:
        hint = broadcast_image_to(hint, x.shape[0], batched_number)
    return hint


def _mask(control: ControlBase, hint: Tensor, channels: int) -> Tensor:
    """Channels [B, channels, h, w] of what is known, fitted to the latent of a hint."""
    height, width = hint.shape[-2:]
    if not control.extra_concat_orig:
        return hint.new_ones(hint.shape[0], channels, height, width)
    found = [
        resize(mask, width, height, control.upscale_algorithm, crop=True)
        for mask in control.extra_concat_orig
    ]
    joined = torch.cat([repeat_to_batch(mask, hint.shape[0]) for mask in found], dim=1)
    return joined[:, :channels].to(hint)
