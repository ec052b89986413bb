"""The VAE of LTX."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    layers="VideoVAE CausalConv3d Encoder Decoder processor",
)
