"""ComfyUI's `latent_preview`: pictures of unfinished latents, over `models.previews`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from comfy.cli_args import LatentPreviewMethod, args
from comfy.utils import ProgressBar
from PIL import Image
from torch import Tensor

from nodes.context import current_context, is_in_call

MAX_PREVIEW_RESOLUTION: int = args.preview_size

default_preview_method: LatentPreviewMethod = args.preview_method

# (format, picture, largest side), as `ProgressBar.update_absolute` takes it.
Preview: TypeAlias = tuple[str, Image.Image, int]
# (step, denoised latent, noisy latent, number of steps)
Callback: TypeAlias = Callable[[int, Tensor, Tensor, int], None]


def preview_to_image(latent_image: Tensor, do_scale: bool = True) -> Image.Image:
    """[H, W, C] to a picture; the values are -1..1, or 0..1 with `do_scale` off."""
    unit = (latent_image + 1) / 2 if do_scale else latent_image
    pixels = unit.clamp(0, 1).mul(255).to("cpu", torch.uint8)
    return Image.fromarray(pixels.numpy())


class LatentPreviewer:
    """Makes pictures of latents in model space; a subclass says how."""

    def decode_latent_to_preview(self, x0: Tensor) -> Image.Image:
        """The first of the latents as a picture."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it draws")

    def decode_latent_to_preview_image(self, preview_format: str, x0: Tensor) -> Preview:
        """The picture as progress bars take it."""
        return ("JPEG", self.decode_latent_to_preview(x0), MAX_PREVIEW_RESOLUTION)


class TAESDPreviewerImpl(LatentPreviewer):
    """Through a small decoder: anything with `decode` from latents to [B, 3, H, W] in -1..1."""

    def __init__(self, taesd: Any) -> None:
        self.taesd = taesd

    def decode_latent_to_preview(self, x0: Tensor) -> Image.Image:
        """The first of the latents, decoded."""
        return preview_to_image(self.taesd.decode(x0[:1])[0].movedim(0, 2))


class Latent2RGBPreviewer(LatentPreviewer):
    """Through a linear map from channels to colours."""

    def __init__(
        self,
        latent_rgb_factors: Sequence[Sequence[float]],
        latent_rgb_factors_bias: Sequence[float] | None = None,
        latent_rgb_factors_reshape: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.latent_rgb_factors = torch.tensor(latent_rgb_factors).t()
        self.latent_rgb_factors_bias = (
            None if latent_rgb_factors_bias is None else torch.tensor(latent_rgb_factors_bias)
        )
        self.latent_rgb_factors_reshape = latent_rgb_factors_reshape

    def decode_latent_to_preview(self, x0: Tensor) -> Image.Image:
        """The first of the latents, one pixel an element; of videos the first frame."""
        if self.latent_rgb_factors_reshape is not None:
            x0 = self.latent_rgb_factors_reshape(x0)
        first = x0[0, :, 0] if x0.ndim == 5 else x0[0]
        factors = self.latent_rgb_factors.to(first)
        bias = self.latent_rgb_factors_bias
        colours = torch.nn.functional.linear(
            first.movedim(0, -1), factors, None if bias is None else bias.to(first)
        )
        return preview_to_image(colours)


def _method() -> LatentPreviewMethod:
    """What packs have set, else what holds for this prompt."""
    chosen: LatentPreviewMethod = args.preview_method
    if chosen is default_preview_method and is_in_call():
        return LatentPreviewMethod(current_context().settings.preview_method)
    return chosen


def get_previewer(device: Any, latent_format: Any) -> LatentPreviewer | None:
    """Draws latents of a format; None if previews are off, or if its colours are not known.

    Models of ours that come with a VAE draw previews by themselves: see `prepare_callback`.
    """
    if _method() is LatentPreviewMethod.NoPreviews:
        return None
    factors = getattr(latent_format, "latent_rgb_factors", None)
    if factors is None:
        return None
    return Latent2RGBPreviewer(
        factors,
        getattr(latent_format, "latent_rgb_factors_bias", None),
        getattr(latent_format, "latent_rgb_factors_reshape", None),
    )


def prepare_callback(
    model: Any, steps: int, x0_output_dict: dict[str, Any] | None = None
) -> Callback:
    """What samplers call after every step: it reports progress, with a preview.

    The last denoised latent is left in `x0_output_dict["x0"]`.
    """
    draw = _drawer(model)
    bar = ProgressBar(steps)

    def callback(step: int, x0: Tensor, x: Tensor, total_steps: int) -> None:
        if x0_output_dict is not None:
            x0_output_dict["x0"] = x0
        preview = None
        if draw is not None and (picture := draw(x0)) is not None:
            preview = ("JPEG", picture, MAX_PREVIEW_RESOLUTION)
        bar.update_absolute(step + 1, total_steps, preview)

    return callback


def _drawer(model: Any) -> Callable[[Tensor], Image.Image | None] | None:
    if _method() is LatentPreviewMethod.NoPreviews:
        return None
    if callable(getattr(model, "preview", None)):  # one of ours: colours fitted to its VAE
        draw: Callable[[Tensor], Image.Image | None] = model.preview
        return draw
    latent_format = getattr(getattr(model, "model", None), "latent_format", None)
    previewer = get_previewer(getattr(model, "load_device", None), latent_format)
    return None if previewer is None else previewer.decode_latent_to_preview


def set_preview_method(override: str | None = None) -> None:
    """Use another method from now on: a word of the flag; None, `default`: the server's."""
    chosen = None if override is None else LatentPreviewMethod.from_string(override)
    args.preview_method = default_preview_method if chosen is None else chosen
