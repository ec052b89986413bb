"""Folders in the layout of diffusers."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    functions="load_diffusers first_file",
)
