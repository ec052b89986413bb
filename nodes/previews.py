"""What draws previews of a run, by the preview method that is set."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL.Image import Image
from torch import Tensor

from models.memory import Policy
from models.tiny_vae import TinyPreview, load_tiny_decoder, tiny_file
from nodes.context import NodeContext

Drawer = Callable[[Tensor], Image | None]


def drawer(context: NodeContext, model: Any) -> Drawer | None:
    """A function from latents in model space to a picture of the first one; None: no previews.

    `taesd` draws with the tiny decoder of the model's latent space. Without its file in vae_approx,
    and with the other methods, colours are a linear map of the channels.
    """
    method = context.settings.preview_method
    if method == "none" or not hasattr(model, "preview"):  # models that packs build have none
        return None
    if method == "taesd":
        tiny = _tiny(context, model)
        if tiny is not None:
            return tiny
    draw: Drawer = model.preview
    return draw


def _tiny(context: NodeContext, model: Any) -> TinyPreview | None:
    name = getattr(model.model.latent_format, "taesd_decoder_name", None)
    if name is None:
        return None
    path = tiny_file(context.folders.kind_folders("vae_approx"), name)
    return None if path is None else _loaded(path, path.stat().st_mtime_ns, context.policy)


@lru_cache(maxsize=2)
def _loaded(path: Path, modified: int, policy: Policy) -> TinyPreview:
    return load_tiny_decoder(path, policy)
