"""The text encoders of lumina2."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="LuminaTokenizer",
    layers="LuminaModel",
    functions="te",
)
