"""All node classes that Darkroom brings along, by the name that workflows use."""

from __future__ import annotations

from typing import Any

from nodes import conditioning, images, latents, loaders, loading, sampling, saving, vae
from nodes.base import Node

_CLASSES: tuple[type[Node], ...] = (
    sampling.KSampler,
    loaders.CheckpointLoaderSimple,
    conditioning.CLIPTextEncode,
    conditioning.CLIPSetLastLayer,
    vae.VAEDecode,
    vae.VAEEncode,
    vae.VAEEncodeForInpaint,
    loaders.VAELoader,
    loaders.LoraLoader,
    latents.EmptyLatentImage,
    latents.LatentUpscale,
    saving.SaveImage,
    saving.PreviewImage,
    loading.LoadImage,
    loading.LoadImageMask,
    images.ImageScale,
    images.ImageInvert,
    images.EmptyImage,
    sampling.KSamplerAdvanced,
    latents.SetLatentNoiseMask,
)

NODE_CLASSES: dict[str, type[Node]] = {node.__name__: node for node in _CLASSES}

DISPLAY_NAMES: dict[str, str] = {
    name: node.DISPLAY_NAME or name for name, node in NODE_CLASSES.items()
}

# All classes of this process: ours, and those of node packs once these are loaded. The loader fills
# them; packs see them as `nodes.NODE_CLASS_MAPPINGS`, and may look at them at any time.
ALL_CLASSES: dict[str, type[Any]] = dict(NODE_CLASSES)
ALL_DISPLAY_NAMES: dict[str, str] = dict(DISPLAY_NAMES)
