"""The text encoders of spiece_tokenizer."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes="SPieceTokenizer",
    layers="SPieceModel",
    functions="te",
)
