"""Patches of LTX latents."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="Patchifier SymmetricPatchifier AudioPatchifier",
    functions="latent_to_pixel_coords",
)
