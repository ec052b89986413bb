"""The text encoders of z_image."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="ZImageTokenizer",
    layers="ZImageTEModel",
    functions="te",
)
