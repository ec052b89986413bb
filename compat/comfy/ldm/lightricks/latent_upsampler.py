"""Upscaling of LTX latents."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="LatentUpsampler ResBlock",
)
