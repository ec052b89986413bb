"""LTX networks for sound and video."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="LTXAVModel BasicAVTransformerBlock",
)
