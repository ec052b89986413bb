"""The text encoders of pixart_t5."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="PixArtTokenizer",
    layers="PixArtT5XXL",
    functions="pixart_te",
)
