"""The picture that controls a run, fitted to the latent that is sampled."""

from __future__ import annotations

from torch import Tensor

from models.math import resize
from models.protocol.control import ControlBase, broadcast_image_to


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
